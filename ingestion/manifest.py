"""The manifest of a batch: written once, beside the batch's records, and changed only by `forget`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from hashlib import sha256
from typing import Any

from ingestion.errors import Broken, Permanent
from ingestion.window import Window, iso, parse_time

# The last field: the checksum of all the others.
CHECKSUM = "manifest_sha256"
# The field that a plan adds when it copies a manifest.
OF_PLAN = ("folder", "is_entering", "is_leaving")


@dataclass(frozen=True)
class File:
    """A Parquet file of the batch, named relative to the batch's folder."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Input:
    """A file that the batch's records come from; size and checksum are of the stored bytes."""

    path: str
    bytes: int
    sha256: str
    records: int
    mtime_ns: int = 0


@dataclass(frozen=True, order=True)
class Waiting:
    """A file that was not landed, and why. It holds the watermark until it lands or is gone."""

    path: str
    reason: str


@dataclass(frozen=True)
class Reading:
    """What the files of a window held when its batch was taken from them, in rows: `read` is the sum of all the others.

    `later` belong to later windows. `landed_before` were in bronze already, unchanged. `left` are older than the
    contract's lateness, and in no batch. `days` says of each date in the batch what rows of it were landed, so that the
    windows after it can tell the two apart. `files` names, by what they hold, those that landed whole and that other windows
    read too. `inputs` are the files that the batch was read from, each with the number of its rows that landed.
    """

    read: int
    landed: int
    later: int = 0
    landed_before: int = 0
    left: int = 0
    days: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    inputs: tuple[Input, ...] = ()


@dataclass(frozen=True)
class Whole:
    """A whole table as a landing found it: the checksum and number of its rows, and the earlier batch that holds them, if one does."""

    sha256: str
    records: int
    held_by: str = ""


@dataclass(frozen=True)
class Manifest:
    """One batch: its content, its origin, and the number of records that the source counted.

    `columns` are the source's own names; `renamed` maps those that Parquet has under another name.
    """

    dataset: str
    batch_id: str
    source: str
    window: Window
    contract_version: int
    landed_at: datetime
    counted_by_source: int
    records_written: int
    snapshot_id: str | None = None
    snapshot_batches: Mapping[str, str] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    columns: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    resolved: tuple[str, ...] = ()
    # Empty for the window's own rows; else what the batch adds to them: rows that were missed, or keys that are gone.
    part: str = ""
    reading: Reading | None = None
    whole: Whole | None = None

    @property
    def bytes(self) -> int:
        """The size of the batch's own files."""
        return sum(file.bytes for file in self.files)

    def to_json(self) -> str:
        body: dict[str, Any] = {
            "dataset": self.dataset,
            "batch_id": self.batch_id,
            "source": self.source,
            "window_start": iso(self.window.start),
            "window_end": iso(self.window.end),
            "snapshot_id": self.snapshot_id,
            "snapshot_batches": dict(self.snapshot_batches),
            "contract_version": self.contract_version,
            "landed_at": iso(self.landed_at),
            "counted_by_source": self.counted_by_source,
            "records_written": self.records_written,
            "bytes": self.bytes,
            "files": [asdict(file) for file in self.files],
            "columns": list(self.columns),
            "renamed": dict(self.renamed),
            "inputs": [asdict(file) for file in self.inputs],
            "waiting": [asdict(file) for file in self.waiting],
            "resolved": list(self.resolved),
            "part": self.part,
            **({"reading": asdict(self.reading)} if self.reading else {}),
            **({"whole": asdict(self.whole)} if self.whole else {}),
        }
        return json.dumps({**body, CHECKSUM: _checksum(body)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, *, where: str = "") -> "Manifest":
        """Read what to_json wrote, or what an earlier version wrote, without a checksum. Anything else is Broken."""
        try:
            body = json.loads(text)
            written = body.pop(CHECKSUM, None)
            if written not in (None, _checksum(body)):
                raise Broken("a manifest was changed after it was written: its checksum does not match", where=where)
            manifest = cls._from_body(body)
            read_from = manifest.reading.inputs if manifest.reading else ()
            parts = (*manifest.files, *manifest.inputs, *manifest.waiting, manifest.reading, *read_from, manifest.whole)
            for one in (manifest, *filter(None, parts)):
                _hold_types(one)
            return manifest
        except Broken:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError, Permanent) as error:
            raise Broken(f"a manifest cannot be read: {error!r}", where=where) from error

    @classmethod
    def _from_body(cls, body: dict[str, Any]) -> "Manifest":
        return cls(
            dataset=body["dataset"],
            batch_id=body["batch_id"],
            source=body["source"],
            window=Window(parse_time(body["window_start"]), parse_time(body["window_end"])),
            snapshot_id=body["snapshot_id"],
            snapshot_batches=dict(body["snapshot_batches"]),
            contract_version=body["contract_version"],
            landed_at=parse_time(body["landed_at"]),
            counted_by_source=body["counted_by_source"],
            records_written=body["records_written"],
            files=tuple(File(**file) for file in body["files"]),
            columns=tuple(body["columns"]),
            renamed=dict(body.get("renamed") or {}),
            inputs=tuple(Input(**file) for file in body["inputs"]),
            waiting=tuple(Waiting(**file) for file in body["waiting"]),
            resolved=tuple(body["resolved"]),
            part=body.get("part", ""),
            reading=_reading(body["reading"]) if body.get("reading") else None,
            whole=Whole(**body["whole"]) if body.get("whole") else None,
        )


def _reading(body: dict[str, Any]) -> Reading:
    inputs = tuple(Input(**file) for file in body.get("inputs", ()))
    return Reading(**{**body, "files": tuple(body.get("files", ())), "inputs": inputs})


def _checksum(body: Mapping[str, Any]) -> str:
    """Return the checksum of a manifest's fields, independent of their order and layout."""
    said = {name: value for name, value in body.items() if name not in OF_PLAN}
    return sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _hold_types(one: Any) -> None:
    """Refuse a field of the wrong type, such as a text instead of a number: JSON allows any."""
    for known in fields(one):
        value = getattr(one, known.name)
        is_text = known.type is str or (known.type == str | None and value is not None)
        if (is_text and not isinstance(value, str)) or (known.type is int and type(value) is not int):
            raise TypeError(f"{known.name} is {value!r}")
        inner = [*value, *value.values()] if isinstance(value, Mapping) else value if isinstance(value, tuple) else ()
        if any(not isinstance(text, str | File | Input | Waiting) for text in inner):
            raise TypeError(f"{known.name} holds a value that is not text")


def still_waiting(manifests: Iterable[Manifest]) -> tuple[Waiting, ...]:
    """List the files that these manifests left behind and that none of the same time or later landed or found gone."""
    known = sorted(manifests, key=lambda manifest: (manifest.landed_at, manifest.batch_id))
    files = {file.path: file for manifest in known for file in manifest.waiting}
    return tuple(sorted(files[path] for path in left_behind(visit_of(manifest) for manifest in known)))


def visit_of(manifest: Manifest) -> "Visit":
    """Return what the landing of a manifest left behind and settled."""
    waiting = [file.path for file in manifest.waiting]
    return Visit(manifest.landed_at, waiting, [*(file.path for file in manifest.inputs), *manifest.resolved])


@dataclass(frozen=True)
class Visit:
    """The files that one landing left behind in a window, and those that it landed or found gone, as paths."""

    at: datetime
    waiting: Sequence[str]
    settled: Sequence[str]


def left_behind(visits: Iterable[Visit]) -> set[str]:
    """List the files left behind that no visit of the same time or later settled. A file may wait, land, and wait again."""
    left: dict[str, datetime] = {}
    settled: dict[str, datetime] = {}
    for visit in sorted(visits, key=lambda visit: visit.at):
        left |= dict.fromkeys(visit.waiting, visit.at)
        settled |= dict.fromkeys(visit.settled, visit.at)
    return {path for path, at in left.items() if path not in settled or settled[path] < at}
