"""dbt's messages: which are written, and where. Imports dbt, which takes seconds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.event_manager_client import ctx_set_event_manager, get_event_manager

from warehouse.error_texts import without_values


@contextmanager
def kept_log(path: Path) -> Iterator[Callable[[Any], None]]:
    """Yield a callback for dbt that appends messages of level info and above to a file. On a full disk dbt goes on.

    dbt has thousands of debug messages for a build. Until the end of the context none is even put together.
    """
    path.parent.mkdir(exist_ok=True)
    before = get_event_manager()
    ctx_set_event_manager(_WithoutDebug())
    try:
        with _filled_when_read(), path.open("ab", buffering=0) as log:

            def keep(event: Any) -> None:
                if not log.closed:
                    line = f"{event.info.ts.ToDatetime():%H:%M:%S} {event.info.level:<5} {without_values(event.info.msg)}\n"
                    with suppress(OSError):
                        log.write(line.encode())

            yield keep
    finally:
        ctx_set_event_manager(before)


class _WithoutDebug(EventManager):
    """Passes on the messages of level info and above."""

    def fire_event(self, e: BaseEvent, level: EventLevel | None = None, *more: Any, **named: Any) -> None:
        if (level or e.level_tag()) not in (EventLevel.DEBUG, EventLevel.TEST):
            super().fire_event(e, level, *more, **named)


# The version whose events are known to be filled by `__init__` and read by `__getattr__`.
_DBT_COMMON = "1.39."


@contextmanager
def _filled_when_read() -> Iterator[None]:
    """Fill an event's message when something reads it: dbt fills all, 3,000 in a build, of which 200 are read."""
    if not version("dbt-common").startswith(_DBT_COMMON):
        yield
        return
    fill, read = BaseEvent.__init__, BaseEvent.__getattr__

    def keep(event: BaseEvent, *values: Any, **named: Any) -> None:
        event.__dict__["given"] = (values, named)

    def fill_and_read(event: BaseEvent, name: str) -> Any:
        if "given" in event.__dict__:
            values, named = event.__dict__.pop("given")
            fill(event, *values, **named)
            return getattr(event, name)
        return read(event, name)

    BaseEvent.__init__, BaseEvent.__getattr__ = keep, fill_and_read  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        BaseEvent.__init__, BaseEvent.__getattr__ = fill, read  # type: ignore[method-assign]
