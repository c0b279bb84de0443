"""Structured logs: with CLEARWELL_LOG=json, a line of JSON on stderr for each event, with the ids of the run it belongs to.

Without it people read what commands say, and only warnings are written. Ids are bound where a run begins (`bound`), and each event
within has them: the run's, and those of its source and window, its build or its batch.
"""

import json
import logging
import os
import sys
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, TextIO

from ingestion.errors import Permanent

VARIABLE = "CLEARWELL_LOG"
FORMATS = ("text", "json")
# The id of the run that this command is a part of, set by the command that started it.
RUN = "CLEARWELL_RUN"
LOGGER = logging.getLogger("clearwell")
_IDS: ContextVar[Mapping[str, str]] = ContextVar("clearwell_ids", default=MappingProxyType({}))
_CLOCK: ContextVar[Callable[[], datetime] | None] = ContextVar("clearwell_clock", default=None)
_ERROR = "error: "


@contextmanager
def bound(*, clock: Callable[[], datetime] | None = None, **ids: str | None) -> Iterator[None]:
    """Give the events within these ids, besides those that are bound already; an empty id is left out.

    A run within a run keeps the id of the outer one as `parent_run_id`. `clock` is read for the times of what happens within.
    """
    outer = _IDS.get()
    given = {name: value for name, value in ids.items() if value}
    if "run_id" in given and outer.get("run_id", given["run_id"]) != given["run_id"]:
        given["parent_run_id"] = outer["run_id"]
    tokens = _IDS.set({**outer, **given}), _CLOCK.set(clock or _CLOCK.get())
    try:
        yield
    finally:
        _IDS.reset(tokens[0])
        _CLOCK.reset(tokens[1])


def ids() -> Mapping[str, str]:
    """Return the ids that are bound."""
    return _IDS.get()


def moment(otherwise: datetime) -> datetime:
    """Return the time, by the clock that is bound; without one, the given time."""
    clock = _CLOCK.get()
    return clock() if clock else otherwise


def run_id(*parts: object) -> str:
    """Return the id of a run, a UUID, from all that tells it from other runs."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "clearwell:" + " ".join(map(str, parts))))


def is_json() -> bool:
    """Say whether CLEARWELL_LOG asks for lines of JSON. Any other format than text is Permanent."""
    asked = os.environ.get(VARIABLE) or "text"
    if asked not in FORMATS:
        raise Permanent(f"{VARIABLE} is {asked!r}", todo=f"set it to {' or '.join(FORMATS)}, or unset it")
    return asked == "json"


def set_up() -> None:
    """Write the events of this command as JSON on stderr if CLEARWELL_LOG asks for it, and the warnings of all libraries."""
    _write_to("stderr", logging.getLogger())


def set_up_task() -> None:
    """Write the events of this Airflow task as JSON on stdout, as part of its log, if CLEARWELL_LOG asks for it."""
    _write_to("stdout", LOGGER)
    LOGGER.propagate = not is_structured()


def tear_down() -> None:
    """Write no more events of this process as JSON."""
    for logger in (LOGGER, logging.getLogger()):
        for one in [handler for handler in logger.handlers if isinstance(handler, _Handler)]:
            logger.removeHandler(one)
    LOGGER.setLevel(logging.NOTSET)
    LOGGER.propagate = True


def is_structured() -> bool:
    """Say whether this process writes its events as JSON."""
    return any(isinstance(one, _Handler) for one in (*LOGGER.handlers, *logging.getLogger().handlers))


def event(text: str, **fields: Any) -> None:
    """Write an event, with fields of its own, where logs are structured."""
    LOGGER.info(text, extra={"fields": fields})


def said(line: str) -> None:
    """Write a line that a command says to people as an event: an error if it begins as one."""
    level = logging.ERROR if line.startswith(_ERROR) else logging.INFO
    LOGGER.log(level, line.removeprefix(_ERROR))


def warning(text: str) -> None:
    """Write a warning, also where logs are not structured."""
    LOGGER.warning(text)


def unexpected() -> None:
    """Write the exception that is being handled as an error."""
    LOGGER.error("an unexpected error", exc_info=True)


def _write_to(stream: str, logger: logging.Logger) -> None:
    tear_down()
    if is_json():
        handler = _Handler(stream)
        handler.setFormatter(_Json())
        logger.addHandler(handler)
        LOGGER.setLevel(logging.INFO)


class _Handler(logging.StreamHandler[TextIO]):
    """Write to what stderr or stdout is at that time: tests and Airflow replace them."""

    def __init__(self, name: str) -> None:
        super().__init__(getattr(sys, name))
        self._of_sys = name

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = getattr(sys, self._of_sys)
        super().emit(record)


class _Json(logging.Formatter):
    """Format an event as one line. An exception has its type and places; its words may hold personal data."""

    def format(self, record: logging.LogRecord) -> str:
        body = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **_IDS.get(),
            **getattr(record, "fields", {}),
        }
        if record.name != LOGGER.name:
            body["logger"] = record.name
        if record.exc_info and record.exc_info[0]:
            body["exception"] = record.exc_info[0].__name__
            body["traceback"] = [line.strip() for line in traceback.format_tb(record.exc_info[2])]
        return json.dumps(body, default=str)
