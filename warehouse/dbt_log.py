"""dbt's messages: which are written, and where. Imports dbt, which takes seconds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
        with path.open("ab", buffering=0) as log:

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
