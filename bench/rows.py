"""The rows of the table: what is measured, how, and what is to be reached."""

import argparse
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.peers import install
from bench.peers.tables import GOLD
from bench.processes import CLEARWELL, ROOT, Used, environment, median, run, said, total
from bench.shop import Shop

# Where one day is measured it is this one, and where several are, it is the last: none may lie in the future.
DAY = date(2026, 11, 1)
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


def days_before(count: int) -> list[date]:
    """Return some days, of which DAY is the last."""
    return [DAY - timedelta(days=number) for number in reversed(range(count))]


def day_of(day: date) -> tuple[datetime, datetime]:
    """Return when a day begins and ends, UTC."""
    start = datetime.combine(day, time(), UTC)
    return start, start + timedelta(days=1)


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
        shop.simulate(DAY, STATE_EVENTS, STATE_ORDERS)
        shop.ingest(home, *day_of(DAY))
        shop.clearwell(home, "build")
        return shop, home, (DAY + timedelta(days=number) for number in count(1))


def measure_day(bench: Bench) -> Iterator[Row]:
    """A day from its sources to gold, by hand and by `clearwell run`."""
    options = bench.options
    by_hand, run_by_it = [], []
    with bench.shop() as shop:
        shop.simulate(DAY, options.events, options.orders)
        for number in range(options.rounds):
            with TemporaryDirectory(prefix="clearwell-bench-") as folder:
                home, out = Path(folder) / "home", Path(folder) / "gold.duckdb"
                by_hand.append(shop.baseline(DAY, out))
                run_by_it.append(shop.run_day(home, DAY))
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
        shop.ingest(home, *day_of(day))
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
    seconds, cpu = (float(number) for number in said("bench.parsing", str(path), env=environment()).split())
    return Used(seconds, cpu, 0)


def measure_backfill(bench: Bench) -> Iterator[Row]:
    """Days in one build and in a build each, from the same batches; and one of them restated. One round."""
    options = bench.options
    days = days_before(options.days)
    with bench.shop() as shop:
        together, singly = shop.root / "together", shop.root / "singly"
        shop.simulate(days[0], options.events, options.orders, options.days)
        single = []
        for day in days:
            shop.ingest(together, *day_of(day))
            shop.ingest(singly, *day_of(day))
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


def measure_hour(bench: Bench) -> Iterator[Row]:
    """The last hour of a day, with late clicks and orders of the days before, on top of all that was before. One round."""
    options = bench.options
    first, midnight = days_before(options.days)[0], day_of(DAY)[1]
    with bench.shop() as shop:
        home = shop.root / "home"
        shop.simulate(first, options.events, options.orders, options.days)
        shop.ingest(home, day_of(first)[0], midnight - timedelta(hours=1))
        shop.clearwell(home, "build")
        shop.ingest(home, midnight - timedelta(hours=1), midnight)
        used = shop.clearwell(home, "build")
    what = f"hour 23 of day {options.days} of {options.events:,} events, landed to published"
    yield Row(f"{what}: wall s", used.seconds, reach="<= 20 for 400,000 events, 80,000 orders")
    yield Row(f"{what}: CPU s", used.cpu)
    yield Row(f"{what}: peak MB", used.peak)


def measure_history(bench: Bench) -> Iterator[Row]:
    """The stages of a day's build on top of a long history, against those of the second day. One round."""
    options = bench.options
    first, second, *between, last = days_before(options.days)
    with bench.shop() as shop:
        home = shop.root / "home"
        shop.simulate(first, options.events, options.orders, options.days)
        shop.ingest(home, *day_of(first))
        shop.clearwell(home, "build")
        shop.ingest(home, *day_of(second))
        early = shop.build_by_stage(home)
        shop.ingest(home, day_of(between[0])[0], day_of(last)[0])
        shop.clearwell(home, "build")
        shop.ingest(home, *day_of(last))
        late = shop.build_by_stage(home)
        published = (home / "published" / "warehouse.duckdb").stat().st_size / 1e9
    for stage, (seconds, cpu) in late.items():
        reach = f"<= {2 * published:.2f} s (2 s a GB)" if stage == "publish" else "<= 1.15x"
        yield Row(f"{stage}, day {options.days} against day 2: CPU s", cpu, early[stage][1], reach)
        yield Row(f"{stage}, day {options.days} against day 2: wall s", seconds, early[stage][0], reach)


def measure_scheduler(bench: Bench) -> Iterator[Row]:
    """A day from its sources to gold through Airflow's scheduler, and by hand. One round."""
    options = bench.options
    with bench.shop() as shop:
        home, out = shop.root / "home", shop.root / "gold.duckdb"
        shop.simulate(DAY, options.events, options.orders)
        against = shop.baseline(DAY, out)
        used = shop.through_scheduler(home, DAY)
        compare(out, home / "published" / "warehouse.duckdb")
    what = f"{options.events:,} events, {options.orders:,} orders through Airflow"
    yield Row(f"{what}: wall s", used.seconds, against.seconds, "<= 1.6x at 10M events")
    yield Row(f"{what}: CPU s", used.cpu, against.cpu)
    yield Row(f"{what}: peak MB", used.peak, against.peak)


@dataclass(frozen=True)
class Peer:
    """A module of `bench.peers`, and what Clearwell's seconds and memory are to be beside its."""

    module: str
    wall: str
    peak: str = ""


PEERS = {
    "polars": Peer("with_polars", "<= 1.0x at 10M events", "<= 0.25x at 10M events"),
    "pandas": Peer("with_pandas", "<= 0.25x"),
    "dlt+dbt": Peer("with_dlt_and_dbt", "<= 0.20x"),
    "dlt-lines+dbt": Peer("with_dlt_and_dbt.lines", ""),
    "pyspark": Peer("with_pyspark", "<= 0.17x"),
}


def measure_peers(bench: Bench) -> Iterator[Row]:
    """A day from its sources to some of the gold tables with other tools, and to all of them by `clearwell run`."""
    options = bench.options
    python = install.python_of(options.peers_venv)
    used: dict[str, list[Used]] = {name: [] for name in ("clearwell", *options.peers)}
    with bench.shop() as shop:
        shop.simulate(DAY, options.events, options.orders)
        for number in range(options.rounds):
            with TemporaryDirectory(prefix="clearwell-bench-") as folder:
                home = Path(folder) / "home"
                used["clearwell"].append(shop.run_day(home, DAY))
                for name in options.peers:
                    out = Path(folder) / f"{name}.duckdb"
                    used[name].append(shop.peer(python, PEERS[name].module, DAY, out))
                    if number == 0:
                        compare(out, home / "published" / "warehouse.duckdb", GOLD)
    measured = median(used["clearwell"])
    for name in options.peers:
        against, peer = median(used[name]), PEERS[name]
        what = f"{options.events:,} events, {options.orders:,} orders, {name}"
        yield Row(f"{what}: wall s", measured.seconds, against.seconds, peer.wall)
        yield Row(f"{what}: CPU s", measured.cpu, against.cpu)
        yield Row(f"{what}: peak MB", measured.peak, against.peak, peer.peak)


def compare(first: Path, second: Path, only: Collection[str] = ()) -> None:
    """Say that the gold of two files is equal, or only these tables; SystemExit, naming the tables, if it is not.

    In a process of its own: the system counts the peak of a process into that of the commands it starts later.
    """
    command = [sys.executable, "-m", "bench.values", str(first), str(second), *(["--only", *only] if only else [])]
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)
    print(done.stdout.strip(), flush=True)
    if done.returncode:
        sys.exit(1)


ROWS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "day": measure_day,
    "small": measure_small,
    "nothing": measure_nothing,
    "help": measure_help,
    "dag": measure_dag,
    "hour": measure_hour,
    "backfill": measure_backfill,
    "history": measure_history,
    "scheduler": measure_scheduler,
    "peers": measure_peers,
}
SLOW = ("hour", "backfill", "history", "scheduler", "peers")
