"""Which of dbt's messages are written, and where."""

from pathlib import Path

from dbt.adapters.events.types import AdapterRegistered
from dbt.events.types import LogModelResult
from dbt_common.events.base_types import BaseEvent, EventLevel, msg_from_base_event
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


def _events() -> list[BaseEvent]:
    info = {"node_name": "gold_daily_revenue", "meta": {"publish": "true"}}
    return [
        AdapterRegistered(adapter_name="duckdb", adapter_version="=1"),
        LogModelResult(description="a model", status="ok", index=1, total=2, execution_time=0.5, node_info=info),
        Note(msg="a step"),
    ]


def test_an_event_says_the_same_if_it_is_filled_only_when_it_is_read(tmp_path: Path) -> None:
    filled = _events()
    with kept_log(tmp_path / "dbt.log"):
        late = _events()
        assert not any("pb_msg" in vars(event) for event in late), (
            "dbt-common has changed: see whether the events of this version may be filled late"
        )
        for one, other in zip(late, filled, strict=True):
            assert (one.message(), one.code(), one.to_json()) == (other.message(), other.code(), other.to_json())
            assert msg_from_base_event(one).data == msg_from_base_event(other).data
    assert [event.to_json() for event in _events()] == [event.to_json() for event in filled]
