"""Measure Clearwell beside a script written by hand that makes the same gold tables, and print a table of ratios.

python -m bench.run                                        1 million events, 200,000 orders
python -m bench.run --events 10000000 --orders 2000000 --only day
python -m bench.run --only backfill --events 100000 --orders 20000 --days 30
python -m bench.run --only hour --events 400000 --orders 80000 --days 30
python -m bench.run --only history --events 5000 --orders 1000 --days 365
python -m bench.run --only peers --peers polars pandas

Every figure is a median of rounds. Each command runs in a process of its own; both sides take turns, and get new
folders each time. After the first round every value of gold is compared: the exit status is 1 if any differs.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.processes import ROOT
from bench.rows import HEADER, PEERS, ROWS, SLOW, Bench


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the chosen rows, and print each as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="of a day")
    parser.add_argument("--orders", type=int, default=200_000, help="of a day")
    parser.add_argument("--days", type=int, default=4, help="of backfill, hour and history")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1, help="another seed is another shop")
    parser.add_argument("--memory", default="1GB", help="CLEARWELL_MEMORY, and the same limit for the script")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), help="of the row peers; default: all")
    venv = ROOT / ".venv-peers"
    parser.add_argument("--peers-venv", type=Path, default=venv, metavar="FOLDER", help=f"default: {venv.name}")
    chosen = [name for name in ROWS if name not in SLOW]
    parser.add_argument("--only", nargs="+", choices=ROWS, default=chosen, help=f"default: all but {', '.join(SLOW)}")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that shops are stopped
    print(HEADER, flush=True)
    with ExitStack() as stack:
        bench = Bench(options, stack)
        for name in options.only:
            for row in ROWS[name](bench):
                print(row, flush=True)


if __name__ == "__main__":
    main()
