"""Which of dbt's messages are written, and where."""

from pathlib import Path

from dbt_common.events.base_types import EventLevel
from dbt_common.events.event_manager_client import get_event_manager
from dbt_common.events.functions import fire_event
from dbt_common.events.types import Note

from warehouse.dbt_log import kept_log


def _say(path: Path) -> None:
    with kept_log(path) as keep:
        get_event_manager().add_callback(keep)
        fire_event(Note(msg="a step"), level=EventLevel.DEBUG)
        fire_event(Note(msg="a model"), level=EventLevel.INFO)
        fire_event(Note(msg="a fault"), level=EventLevel.ERROR)


def test_messages_of_info_and_above_are_appended_and_debug_is_not(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "dbt.log"

    _say(path)
    _say(path)

    assert [line.split(maxsplit=1)[1] for line in path.read_text().splitlines()] == [
        "info  a model",
        "error a fault",
    ] * 2


def test_a_full_disk_does_not_stop_dbt() -> None:
    _say(Path("/dev/full"))


def test_outside_the_context_dbt_has_its_own_messages_again(tmp_path: Path) -> None:
    before = get_event_manager()

    _say(tmp_path / "dbt.log")

    assert get_event_manager() is before
