"""Decide which rows of files for all days a window takes, and account for those that it leaves.

A window lands its own rows and those of the contract's lateness before it. Later rows land with their own windows. Of
older ones, only those that bronze already has may be skipped; any other is reported, with the command that lands it.
Rows without a readable date belong to no window: one window lands them, and the others see that it did.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import blake2b

from ingestion import bronze
from ingestion.contract import Contract, say_duration
from ingestion.land import Run
from ingestion.manifest import Reading
from ingestion.sources.csv_records import Record, Row
from ingestion.window import DAY

_UNDATED = "undated"


@dataclass
class Left:
    """Rows that a window leaves in the files: their number, their dates, and the first of them."""

    rows: int = 0
    line: int = 0
    place: str = ""
    first: date = date.max
    last: date = date.min

    def add(self, rows: int, day: date, line: int, place: str = "") -> None:
        if rows:
            self.line, self.place = (self.line, self.place) if self.line else (line, place)
            self.rows += rows
            self.first = day if day < self.first else self.first
            self.last = day if day > self.last else self.last

    def __str__(self) -> str:
        dates = str(self.first) if self.first == self.last else f"{self.first} to {self.last}"
        where = f"line {self.line}{f' of {self.place}' if self.place else ''}"
        return f"{self.rows:,} row{'s' if self.rows > 1 else ''} of {dates} (as {where})"


class Share:
    """Decide for each record of the files whether a window takes it. Pass every record to `takes`, then call `settle`."""

    def __init__(self, run: Run, contract: Contract) -> None:
        self._contract, self._window = contract, run.window
        last_day = run.window.end - timedelta(microseconds=1)
        dated = any(one.name == contract.event_time and one.type == "date" for one in contract.columns)
        self._from = _midnight(run.window.start - contract.lateness)
        self._until = _midnight(last_day) + DAY if dated else run.window.end
        self._run = run
        self._days: dict[date, int] = {}
        self._older: dict[date, tuple[int, Left]] = {}
        self._undated: list[tuple[int, int]] = []
        self._undated_landed = False
        self.later, self.left, self.landed_before = Left(), Left(), 0

    def takes(self, record: Record, moment: datetime | None, rows: Sequence[Row], place: str = "") -> bool | None:
        """Say whether the window takes a record; None if `settle` decides. `place` names its file, if there are several."""
        count = 1 if record.reason else len(rows)
        sign = sign_of(record, rows)
        if moment is None:
            self._undated.append((sign, count))
            return None
        day = moment.date()
        if moment < self._from:
            signs, left = self._older.get(day) or (0, Left())
            left.add(count, day, record.line, place)
            self._older[day] = (signs + sign, left)
            return False
        if moment >= self._until:
            self.later.add(count, day, record.line, place)
            return False
        self._days[day] = self._days.get(day, 0) + sign
        return True

    def settle(self) -> bool:
        """Separate the older rows that bronze has from those it never got; return whether the undated ones land."""
        landed = _landed_before(self._run, self._contract) if self._older or self._undated else {}
        for day, (signs, left) in self._older.items():
            if _written(signs) in landed.get(str(day), ()):
                self.landed_before += left.rows
            else:
                self.left.add(left.rows, day, left.line, left.place)
        undated = sum(sign for sign, _ in self._undated)
        if self._undated and _written(undated) in landed.get(_UNDATED, ()):
            self.landed_before += sum(count for _, count in self._undated)
            return False
        self._undated_landed = bool(self._undated)
        return True

    def reading(self, read: int, landed: int) -> Reading:
        """Describe what was read, for the manifest."""
        days = {str(day): _written(signs) for day, signs in sorted(self._days.items())}
        if self._undated_landed:
            days[_UNDATED] = _written(sum(sign for sign, _ in self._undated))
        return Reading(read, landed, self.later.rows, self.landed_before, self.left.rows, days)

    def messages(self, read: int) -> list[str]:
        """Return what did not land with this window, and the commands that land it."""
        name, told = f"{self._contract.dataset} {self._window}", []
        if self.later.rows or self.landed_before:
            later = f"{self.later} land with later windows" if self.later.rows else "none belong to later windows"
            told.append(f"{name}: of {read:,} rows read, {self.landed_before:,} landed before; {later}")
        if self.left.rows:
            told.append(
                f"{name}: {self.left} are older than the lateness of {say_duration(self._contract.lateness)}, and no batch"
                f" holds them as they are now. Next: clearwell ingest {self._contract.source}"
                f" --from {self.left.first} --to {self.left.last + DAY}"
            )
        return told


def _landed_before(run: Run, contract: Contract) -> Mapping[str, set[str]]:
    """Return which rows of each date the dataset's batches hold. A window lands its own undated rows again."""
    found: dict[str, set[str]] = {}
    for manifest in bronze.counting(run.home, contract.dataset):
        for day, signs in manifest.reading.days.items() if manifest.reading else ():
            if day != _UNDATED or manifest.window != run.window:
                found.setdefault(day, set()).add(signs)
    return found


def sign_of(record: Record, rows: Sequence[Row]) -> int:
    """Return a hash of a record as it lands. Sums of these do not depend on the order of the rows."""
    content = record.raw if record.reason else repr(rows).encode("utf-8", "backslashreplace")
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big")


def _written(signs: int) -> str:
    return f"{signs % (1 << 64):016x}"


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
