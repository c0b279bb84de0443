"""Measure Clearwell beside a script written by hand that makes the same gold tables, and print a table of ratios.

python -m bench.run                                        1 million events, 200,000 orders
python -m bench.run --events 10000000 --orders 2000000 --only day
python -m bench.run --only backfill --events 100000 --orders 20000 --days 30

Every figure is a median of rounds. Each command runs in a process of its own; both sides take turns, and get new
folders each time. After the first round every value of gold is compared: the exit status is 1 if any differs.
"""

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.processes import CLEARWELL, ROOT, Used, environment, median, run, total

FIRST_DAY = date(2026, 11, 1)
SOURCES = ("orders", "clickstream", "exchange_rates")
STATE_EVENTS, STATE_ORDERS = 20_000, 400
BATCH_EVENTS, BATCH_ORDERS = 1_000, 50


@dataclass(frozen=True)
class Row:
    """One figure of Clearwell's, the one it is held against, if any, and what is to be reached, as text."""

    what: str
    measured: float
    against: float | None = None
    reach: str = ""

    def __str__(self) -> str:
        figures = f"{_short(self.against):>10} {_short(self.measured):>10} {_ratio(self.measured, self.against):>7}"
        return f"{self.what:<56} {figures}  {f'reach {self.reach}' if self.reach else ''}".rstrip()


HEADER = f"{'':<56} {'against':>10} {'clearwell':>10} {'ratio':>7}"


def _short(value: float | None) -> str:
    """Return a figure with three digits that count."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _ratio(measured: float, against: float | None) -> str:
    return f"{measured / against:.2f}x" if against else ""


@dataclass(frozen=True)
class Shop:
    """A simulated shop, whose landing folder and Postgres serve any number of homes."""

    root: Path
    seed: int
    memory: str

    def simulate(self, day: date, events: int, orders: int, days: int = 1) -> None:
        """Let days pass."""
        sizes = ["--events-per-day", str(events), "--orders-per-day", str(orders)]
        span = ["--from", str(day), "--to", str(day + timedelta(days=days))]
        self._clearwell("simulate", *span, *sizes, "--seed", str(self.seed))

    def stop(self) -> None:
        """Stop its Postgres."""
        self._clearwell("stop")

    def _clearwell(self, *arguments: str) -> None:
        run([CLEARWELL, "shop", *arguments], environment(CLEARWELL_HOME=str(self.root)))

    @property
    def landing(self) -> Path:
        return self.root / "landing" / "clickstream"

    @property
    def url(self) -> str:
        """The address of its Postgres, which `simulate` starts."""
        return (self.root / "shop" / "database_url").read_text().strip()

    @property
    def rates(self) -> Path:
        """The shop's own exchange rates; or those of the European Central Bank, as Clearwell takes them."""
        own = self.root / "shop" / "exchange_rates.csv"
        package = find_spec("currency_converter")
        assert package and package.origin
        return own if own.exists() else Path(package.origin).with_name("eurofxref-hist.zip")

    def environment(self, home: Path) -> dict[str, str]:
        """Return the environment of a home that reads this shop."""
        return environment(
            CLEARWELL_HOME=str(home),
            CLEARWELL_MEMORY=self.memory,
            SHOP_DATABASE_URL=self.url,
            CLICKSTREAM_LANDING=str(self.landing),
            EXCHANGE_RATES=str(self.rates),
        )

    def clearwell(self, home: Path, *arguments: str) -> Used:
        """Run a command in a home, and measure it."""
        return run([CLEARWELL, *arguments], self.environment(home))

    def ingest(self, home: Path, day: date) -> None:
        """Land a day of every source."""
        for source in SOURCES:
            self.clearwell(home, "ingest", source, "--from", str(day), "--to", str(day + timedelta(days=1)))

    def baseline(self, day: date, out: Path) -> Used:
        """Make the gold of a day by hand, and measure it."""
        span = [str(day), str(day + timedelta(days=1))]
        where = [str(self.landing), self.url, str(self.rates), *span, str(out)]
        return run([sys.executable, "-m", "bench.baseline", *where, "--memory", self.memory], environment())


@dataclass(frozen=True)
class Bench:
    """What the rows have in common. Homes last as long as `open`; those that rows share are made once."""

    options: argparse.Namespace
    open: ExitStack

    @contextmanager
    def shop(self) -> Iterator[Shop]:
        """Yield a new shop without a day; stop and remove it afterwards."""
        with TemporaryDirectory(prefix="clearwell-bench-") as folder:
            shop = Shop(Path(folder), self.options.seed, self.options.memory)
            try:
                yield shop
            finally:
                shop.stop()

    @cached_property
    def small(self) -> tuple[Shop, Path, Iterator[date]]:
        """A shop, a home with a published day of it, and the days that come next."""
        shop = self.open.enter_context(self.shop())
        home = shop.root / "home"
        shop.simulate(FIRST_DAY, STATE_EVENTS, STATE_ORDERS)
        shop.ingest(home, FIRST_DAY)
        shop.clearwell(home, "build")
        return shop, home, (FIRST_DAY + timedelta(days=number) for number in count(1))


def measure_day(bench: Bench) -> Iterator[Row]:
    """A day from its sources to gold, by hand and by `clearwell run`."""
    options = bench.options
    by_hand, run_by_it = [], []
    with bench.shop() as shop:
        shop.simulate(FIRST_DAY, options.events, options.orders)
        for number in range(options.rounds):
            with TemporaryDirectory(prefix="clearwell-bench-") as folder:
                home, out = Path(folder) / "home", Path(folder) / "gold.duckdb"
                span = ["--from", str(FIRST_DAY), "--to", str(FIRST_DAY + timedelta(days=1))]
                by_hand.append(shop.baseline(FIRST_DAY, out))
                run_by_it.append(shop.clearwell(home, "run", *span))
                if number == 0:
                    compare(out, home / "published" / "warehouse.duckdb")
    size = f"{options.events:,} events, {options.orders:,} orders"
    against, measured = median(by_hand), median(run_by_it)
    yield Row(f"{size}: CPU s", measured.cpu, against.cpu, "<= 2.0x at 1M events, <= 1.5x at 10M")
    yield Row(f"{size}: wall s", measured.seconds, against.seconds, "<= 1.5x at 10M events")
    yield Row(f"{size}: peak MB", measured.peak, against.peak, "< 1,930 MB (1.8 GiB) at 10M events")


def measure_small(bench: Bench) -> Iterator[Row]:
    """What a build costs whatever its size: a small batch on top of an existing state."""
    shop, home, days = bench.small
    used = []
    for day in (next(days) for _ in range(bench.options.rounds)):
        shop.simulate(day, BATCH_EVENTS, BATCH_ORDERS)
        shop.ingest(home, day)
        used.append(shop.clearwell(home, "build"))
    size = f"a build of {BATCH_EVENTS:,} events, {BATCH_ORDERS} orders"
    yield Row(f"{size}: CPU s", median(used).cpu, reach="<= 10")
    yield Row(f"{size}: wall s", median(used).seconds)


def measure_nothing(bench: Bench) -> Iterator[Row]:
    """A build that finds no new batches."""
    shop, home, _ = bench.small
    used = median([shop.clearwell(home, "build") for _ in range(bench.options.rounds)])
    yield Row("a build with nothing to do: wall s", used.seconds, reach="< 1.5")
    yield Row("a build with nothing to do: CPU s", used.cpu)


def measure_help(bench: Bench) -> Iterator[Row]:
    """The start of the command line."""
    used = median([run([CLEARWELL, "--help"], environment()) for _ in range(bench.options.rounds)])
    yield Row("clearwell --help: wall s", used.seconds, reach="< 0.3")
    yield Row("clearwell --help: CPU s", used.cpu)


def measure_dag(bench: Bench) -> Iterator[Row]:
    """Parsing each DAG file, beyond Airflow itself."""
    for path in sorted((ROOT / "dags").glob("*.py")):
        if path.stem == "common":
            continue  # no DAG: the others import it
        used = median([parse(path) for _ in range(bench.options.rounds)])
        yield Row(f"parsing dags/{path.name} beyond Airflow: wall s", used.seconds, reach="< 0.2")


def parse(path: Path) -> Used:
    """Parse a DAG file in a process of its own."""
    command = [sys.executable, "-m", "bench.parsing", str(path)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), text=True, stdout=subprocess.PIPE, check=True)
    seconds, cpu = (float(number) for number in done.stdout.split()[-2:])
    return Used(seconds, cpu, 0)


def measure_backfill(bench: Bench) -> Iterator[Row]:
    """Days in one build and in a build each, from the same batches; and one of them restated. One round."""
    options = bench.options
    days = [FIRST_DAY + timedelta(days=number) for number in range(options.days)]
    with bench.shop() as shop:
        together, singly = shop.root / "together", shop.root / "singly"
        shop.simulate(FIRST_DAY, options.events, options.orders, options.days)
        single = []
        for day in days:
            shop.ingest(together, day)
            shop.ingest(singly, day)
            single.append(shop.clearwell(singly, "build"))
        at_once = shop.clearwell(together, "build")
        compare(*(home / "published" / "warehouse.duckdb" for home in (together, singly)))
        middle = len(days) // 2
        span = ["--from", str(days[middle]), "--to", str(days[middle] + timedelta(days=1))]
        restated = shop.clearwell(singly, "build", *span, "--reason", "measured")
    size = f"{options.days} days of {options.events:,} events in one build, not {options.days}"
    yield Row(f"{size}: CPU s", at_once.cpu, total(single).cpu, "<= 0.8x for 30 days")
    yield Row(f"{size}: wall s", at_once.seconds, total(single).seconds, "<= 0.8x for 30 days")
    again = f"day {middle + 1} of {options.days} restated, not first built"
    yield Row(f"{again}: CPU s", restated.cpu, single[middle].cpu, "<= 1.3x in a year")
    yield Row(f"{again}: wall s", restated.seconds, single[middle].seconds, "<= 1.3x in a year")


def compare(first: Path, second: Path) -> None:
    """Say that the gold of two files is equal; SystemExit, naming the tables, if it is not.

    In a process of its own: the system counts the peak of a process into that of the commands it starts later.
    """
    done = subprocess.run(
        [sys.executable, "-m", "bench.values", str(first), str(second)], cwd=ROOT, text=True, stdout=subprocess.PIPE
    )
    print(done.stdout.strip(), flush=True)
    if done.returncode:
        sys.exit(1)


ROWS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "day": measure_day,
    "small": measure_small,
    "nothing": measure_nothing,
    "help": measure_help,
    "dag": measure_dag,
    "backfill": measure_backfill,
}
SLOW = ("backfill",)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the chosen rows, and print each as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="of a day")
    parser.add_argument("--orders", type=int, default=200_000, help="of a day")
    parser.add_argument("--days", type=int, default=4, help="of `backfill`")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1, help="another seed is another shop")
    parser.add_argument("--memory", default="1GB", help="CLEARWELL_MEMORY, and the same limit for the script")
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
