"""Lineage events by the OpenLineage standard: what they are made of, and where they go.

They are appended to `lineage/YYYY-MM.jsonl` in the home, or sent where OpenLineage's own configuration says: OPENLINEAGE_URL or an
`openlineage.yml`. What cannot be sent is appended to the file, with one warning.
"""

import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from openlineage.client import OpenLineageClient
from openlineage.client.client import Event
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState, set_producer
from openlineage.client.facet_v2 import (
    error_message_run,
    job_type_job,
    nominal_time_run,
    parent_run,
    schema_dataset,
    tags_dataset,
    tags_run,
)
from openlineage.client.serde import Serde
from openlineage.client.transport import Transport

from ingestion import log
from ingestion.errors import ClearwellError
from ingestion.home import Home
from ingestion.json_lines import append
from ingestion.window import Window, iso

URL = "OPENLINEAGE_URL"
# The namespace of the jobs, and the run of another system that ours are part of, as NAMESPACE/JOB/RUN.
NAMESPACE, PARENT = "OPENLINEAGE_NAMESPACE", "OPENLINEAGE_PARENT_ID"
START, COMPLETE, FAIL, ABORT = RunState.START, RunState.COMPLETE, RunState.FAIL, RunState.ABORT
# How many months of events are kept: an hourly build is some 180 MB a month.
_MONTHS = 3
# How long a receiver may take for one event, and for all that are sent together.
_EVENT_SECONDS, _ALL_SECONDS = 5.0, 30.0
# They tell of each failed attempt, with the address.
_NOISY = ("urllib3.connectionpool", "openlineage")
set_producer(f"urn:clearwell:{version('clearwell')}")


class _Receiver:
    """Whether the configured receiver has failed in this process: then it is not tried again."""

    has_failed = False


class _Lines(Transport):
    """Keep events as what their lines of JSON hold."""

    kind = "lines"

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def emit(self, event: Event) -> None:
        self.lines.append(Serde.to_dict(event))


def emit(home: Home, events: Sequence[RunEvent]) -> None:
    """Send events where OpenLineage is configured to; otherwise, or if that fails, append them to the month's file."""
    lines = _Lines()
    client = OpenLineageClient(transport=lines)
    is_sent = bool((client.config.transport or {}).get("type") or os.environ.get(URL))
    for event in _unsent(home, events) if is_sent else events:
        client.emit(event)
    if lines.lines:
        _write(home, lines.lines)


def _unsent(home: Home, events: Sequence[RunEvent]) -> Sequence[RunEvent]:
    """Send events by the configuration; return those that were not sent. A receiver that is slow or fails is given up."""
    if _Receiver.has_failed:
        return events
    sent: list[RunEvent] = []
    errors: list[Exception] = []

    def send() -> None:
        try:
            client = OpenLineageClient()
            for event in events:
                client.emit(event)
                sent.append(event)
            client.close(_EVENT_SECONDS)
        except Exception as error:
            errors.append(error)

    noise = {name: logging.getLogger(name).level for name in _NOISY}
    for name in noise:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # no transport bounds all of its attempts: a thread can be left behind
    thread = threading.Thread(target=send, daemon=True)
    began = time.monotonic()
    thread.start()
    while thread.is_alive() and time.monotonic() - began < _ALL_SECONDS:
        before = len(sent)
        thread.join(_EVENT_SECONDS)
        if thread.is_alive() and len(sent) == before:
            break
    if not thread.is_alive() and not errors:
        for name, level in noise.items():
            logging.getLogger(name).setLevel(level)
        return []
    _Receiver.has_failed = True
    why = type(errors[0]).__name__ if errors else "it took too long"
    log.warning(f"lineage events could not be sent ({why}); this process writes them to {folder(home)}")
    return events[len(sent) :]


def folder(home: Home) -> Path:
    """Return the folder of the events that are not sent elsewhere."""
    return home.root / "lineage"


def _write(home: Home, lines: Iterable[Mapping[str, Any]]) -> None:
    """Append events to the file of their month, and delete the files of old months."""
    by_month: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        by_month.setdefault(str(line["eventTime"])[:7], []).append(line)
    for month, of_month in by_month.items():
        append(folder(home) / f"{month}.jsonl", of_month)
    for old in sorted(folder(home).glob("*.jsonl"))[:-_MONTHS]:
        old.unlink(missing_ok=True)


# --- what events are made of -----------------------------------------------------------------------------------------


def run_event(
    state: RunState,
    at: datetime,
    job: str,
    run_id: str,
    *,
    job_type: str,
    run_facets: Mapping[str, Any] | None = None,
    inputs: Iterable[InputDataset] = (),
    outputs: Iterable[OutputDataset] = (),
) -> RunEvent:
    """Return an event of one run of a job."""
    kind = job_type_job.JobTypeJobFacet(processingType="BATCH", integration="CLEARWELL", jobType=job_type)
    return RunEvent(
        eventType=state,
        eventTime=iso(at) if not at.microsecond else at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        run=Run(run_id, dict(run_facets or {})),
        job=Job(namespace(), job, {"jobType": kind}),
        inputs=list(inputs),
        outputs=list(outputs),
    )


def namespace() -> str:
    """Return the namespace of the jobs: OPENLINEAGE_NAMESPACE, or clearwell."""
    return os.environ.get(NAMESPACE) or "clearwell"


def parent_facets(job: str = "", run_id: str = "") -> dict[str, Any]:
    """Return the facet that names the run that a run is part of: one of ours, or that of OPENLINEAGE_PARENT_ID, if it is set."""
    if run_id:
        of = namespace(), job, run_id
    else:
        parts = os.environ.get(PARENT, "").rsplit("/", 2)
        if len(parts) != 3:
            return {}
        of = parts[0], parts[1], parts[2]
    facet = parent_run.ParentRunFacet(run=parent_run.Run(of[2]), job=parent_run.Job(of[0], of[1]))
    return {"parent": facet}


def window_facets(window: Window) -> dict[str, Any]:
    """Return the facet that names the window of a run."""
    return {"nominalTime": nominal_time_run.NominalTimeRunFacet(iso(window.start), iso(window.end))}


def run_tags(tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the facet with tags of a run, such as the id of its build."""
    fields = [tags_run.TagsRunFacetFields(name, value, source="CLEARWELL") for name, value in tags.items() if value]
    return {"tags": tags_run.TagsRunFacet(fields)} if fields else {}


def batch_tags(batch_ids: Iterable[str]) -> dict[str, Any]:
    """Return the facet with the ids of the batches that a run added to a dataset."""
    fields = [tags_dataset.TagsDatasetFacetFields("batch_id", one, source="CLEARWELL") for one in batch_ids]
    return {"tags": tags_dataset.TagsDatasetFacet(fields)} if fields else {}


def schema_facets(columns: Iterable[tuple[str, str, str]]) -> dict[str, Any]:
    """Return the facet with the columns of a dataset: their names, types and descriptions."""
    fields = [
        schema_dataset.SchemaDatasetFacetFields(name, type=kind or None, description=about or None, fields=None)
        for name, kind, about in columns
    ]
    return {"schema": schema_dataset.SchemaDatasetFacet(fields)}


def ended_by(error: BaseException) -> RunState:
    """Return how a run ended: it failed, or was stopped from outside."""
    return FAIL if isinstance(error, Exception) else ABORT


def error_facets(error: BaseException) -> dict[str, Any]:
    """Return the facet with an error: its kind, and what to do about it. Its other words may hold personal data."""
    todo = f". Next: {error.todo}" if isinstance(error, ClearwellError) and error.todo else ""
    return message_facets(f"{type(error).__name__}{todo}")


def message_facets(message: str) -> dict[str, Any]:
    """Return the facet with the message of an error."""
    return {"errorMessage": error_message_run.ErrorMessageRunFacet(message, "python")}
