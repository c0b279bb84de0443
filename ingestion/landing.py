"""The input and the result of an ingest run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from ingestion.contract import Contract
from ingestion.home import Home
from ingestion.manifest import Manifest, Waiting
from ingestion.window import Window

Report = Callable[[str], None]


def silent(_line: str) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Run:
    """One window of one source to land. `landed_at` is the run's only clock."""

    window: Window
    home: Home
    contracts: Mapping[str, Contract]
    landed_at: datetime
    report: Report = silent
    # Whether to count the window, of whole days, at the source as well, and to find deletions.
    is_sweep: bool = False
    # The days before the window that this sweep also lands whole.
    swept: tuple[Window, ...] = ()


@dataclass(frozen=True)
class Landing:
    """The batches that now hold the window, those that this run landed, and the files that it could not read."""

    source: str
    window: Window
    manifests: tuple[Manifest, ...]
    new: frozenset[str]
    waiting: tuple[Waiting, ...] = ()
    messages: tuple[str, ...] = ()

    @property
    def records(self) -> int:
        """The number of records that this run landed."""
        return sum(manifest.records_written for manifest in self.manifests if manifest.batch_id in self.new)


Source = Callable[[Run], Landing]
