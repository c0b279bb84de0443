"""What one run of the baseline reads and writes."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).parents[2]
SEEDS = ROOT / "dbt_project" / "seeds"
THREADS = 2
# Rows dated later than this after the landing are refused.
FUTURE = timedelta(days=1)


@dataclass(frozen=True)
class Job:
    """What is read, for which window, and where the tables go. `memory` limits DuckDB; `now` is the time of landing."""

    landing: Path
    url: str
    rates: Path
    start: datetime
    end: datetime
    out: Path
    now: datetime
    memory: str = "1GB"

    @property
    def work(self) -> Path:
        """The folder of raw and temporary files."""
        return self.out.with_name(f"{self.out.name}.parts")

    @property
    def lines(self) -> Path:
        return self.work / "clickstream"

    @property
    def silver_clicks(self) -> Path:
        return self.work / "silver_clickstream.parquet"

    def raw(self, table: str) -> Path:
        """Return the Parquet file with the rows of a table, every value as text."""
        return self.work / f"{table}.parquet"

    def latest(self) -> str:
        """Return the last time, as SQL, that a row may be dated."""
        return f"timestamp '{self.now + FUTURE:%Y-%m-%d %H:%M:%S.%f}'"


def read_job(description: str | None, arguments: Sequence[str] | None = None) -> Job:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("landing", type=Path)
    parser.add_argument("url", metavar="database_url")
    parser.add_argument("rates", type=Path)
    parser.add_argument("start", metavar="from", type=_utc)
    parser.add_argument("end", metavar="to", type=_utc)
    parser.add_argument("out", type=Path)
    parser.add_argument("--memory", default=Job.memory, help="the limit of DuckDB's buffers")
    return Job(**vars(parser.parse_args(arguments)), now=datetime.now(UTC))


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
