"""What an ingest run is given and what it gives back."""

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
    """One window of one source to land, at one time. `landed_at` is the only clock there is."""

    window: Window
    home: Home
    contracts: Mapping[str, Contract]
    landed_at: datetime
    report: Report = silent
    # Whether the window, of whole days, is to be counted at the source as well, and what is gone from it found.
    is_sweep: bool = False
    # The days before the window that this sweep lands whole as well.
    swept: tuple[Window, ...] = ()


@dataclass(frozen=True)
class Landing:
    """The batches that hold the window now, which of them this run landed, and the files it had to leave."""

    source: str
    window: Window
    manifests: tuple[Manifest, ...]
    new: frozenset[str]
    waiting: tuple[Waiting, ...] = ()
    messages: tuple[str, ...] = ()

    @property
    def records(self) -> int:
        """How many records this run brought."""
        return sum(manifest.records_written for manifest in self.manifests if manifest.batch_id in self.new)


Source = Callable[[Run], Landing]
