"""The log of runs: a line of JSON for each stage of a run, written when it ends, however it ends.

Lines are appended to `runs/YYYY-MM.jsonl` in the home, and each build takes them over into `ops.runs`. They say how long a stage
took and how much it took in. Nothing depends on them: a line that cannot be written is left out.

While a stage runs, structured logs and lineage events have its run id; the log of runs has that id too, with the dataset behind it.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from ingestion import log
from ingestion.errors import Permanent, Transient
from ingestion.home import Home
from ingestion.json_lines import append
from ingestion.window import Window, iso

STAGES = ("ingest", "plan", "transform", "audit", "apply", "publish")


@dataclass
class Taken:
    """What a stage took in: records, and their bytes at the source, of one dataset or of all."""

    records: int
    bytes: int
    dataset: str | None = None


@dataclass(frozen=True)
class Line:
    """One line of the log. `result` is ok, transient, permanent, failed or interrupted; `seconds` are those of the whole stage."""

    run_id: str
    stage: str
    source: str | None
    dataset: str | None
    of_build_id: str | None
    window_start: str | None
    window_end: str | None
    started_at: str
    seconds: float
    records: int
    bytes: int
    result: str


@contextmanager
def logged(
    home: Home, stage: str, at: datetime, *, source: str = "", build_id: str = "", window: Window | None = None
) -> Iterator[list[Taken]]:
    """Log a stage that begins at a time; what it took in is added to the list, a line each."""
    taken: list[Taken] = []
    began, result = time.monotonic(), "ok"
    run_id = log.run_id(iso(at), stage, source, build_id, os.getpid(), began)
    with log.bound(run_id=run_id, stage=stage, source=source, build_id=build_id, window=str(window or "")):
        log.event(f"{stage} began")
        try:
            yield taken
        except BaseException as error:
            result = _result(error)
            raise
        finally:
            seconds = round(time.monotonic() - began, 3)
            lines = [
                Line(
                    run_id=f"{run_id}/{one.dataset}" if one.dataset else run_id,
                    stage=stage,
                    source=source or None,
                    dataset=one.dataset,
                    of_build_id=build_id or None,
                    window_start=iso(window.start) if window else None,
                    window_end=iso(window.end) if window else None,
                    started_at=iso(at),
                    seconds=seconds,
                    records=one.records,
                    bytes=one.bytes,
                    result=result,
                )
                for one in taken or [Taken(0, 0)]
            ]
            with suppress(OSError):
                append(folder(home) / f"{iso(at)[:7]}.jsonl", (asdict(line) for line in lines))
            log.event(
                f"{stage} ended",
                result=result,
                seconds=seconds,
                records=sum(one.records for one in taken),
                bytes=sum(one.bytes for one in taken),
            )


def read(home: Home) -> list[Line]:
    """Read the log of this month and the one before, as far as it can be read."""
    found = []
    for path in sorted(folder(home).glob("*.jsonl"))[-2:]:
        with suppress(OSError):
            for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
                with suppress(TypeError, ValueError):
                    found.append(Line(**json.loads(text)))
    return found


def folder(home: Home) -> Path:
    """Return the folder of the log."""
    return home.root / "runs"


def _result(error: BaseException) -> str:
    if isinstance(error, Transient):
        return "transient"
    if isinstance(error, Permanent):
        return "permanent"
    return "failed" if isinstance(error, Exception) else "interrupted"
