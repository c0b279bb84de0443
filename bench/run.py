"""Measure `clearwell run` on one day of the simulated shop: seconds, CPU seconds and peak memory of its process.

python bench/run.py --events 1000000 --orders 200000
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

DAY, NEXT_DAY = "2026-11-01", "2026-11-02"


def main() -> None:
    """Make the day, run the pipeline on it, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--orders", type=int, default=200_000)
    arguments = parser.parse_args()
    clearwell = [str(Path(sys.executable).with_name("clearwell"))]
    with TemporaryDirectory(prefix="clearwell-bench-") as folder:
        environment = {**os.environ, "CLEARWELL_HOME": folder}
        environment.pop("SHOP_DATABASE_URL", None)
        sizes = ["--events-per-day", str(arguments.events), "--orders-per-day", str(arguments.orders)]
        days = ["--from", DAY, "--to", NEXT_DAY]
        try:
            measure("simulate", [*clearwell, "shop", "simulate", *days, *sizes], environment)
            measure("run", [*clearwell, "run", *days], environment)
            measure("run again", [*clearwell, "run", *days], environment)
        finally:
            subprocess.run([*clearwell, "shop", "stop"], env=environment, check=False)


def measure(what: str, command: list[str], environment: dict[str, str]) -> None:
    """Run a command in a process of its own and print what it took."""
    start = time.monotonic()
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    seconds, cpu = time.monotonic() - start, usage.ru_utime + usage.ru_stime
    print(
        f"{what:<10} {seconds:>7.1f} s {cpu:>7.1f} CPU s   peak {usage.ru_maxrss / 1024:>6.0f} MB   "
        f"exit status {child.returncode}",
        flush=True,
    )


if __name__ == "__main__":
    main()
