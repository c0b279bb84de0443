"""A build writes the control room: its numbers are those of the tables, and nothing personal or raw is in it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main
from ingestion.home import Home
from operations import control_room, decide, ledger
from tests.pipeline.delivery import LINE, ORDER, land_lines, land_rows
from warehouse import state

DAY = datetime(2026, 11, 1, tzinfo=UTC)
CANARY = "c4n4ry"


def land(home: Home) -> None:
    """Land two orders with a line each, events of two visitors, and lines that are refused; names are everywhere in them."""
    at = f"{DAY:%Y-%m-%d} 10:00:00+00"
    order = dict.fromkeys(ORDER, None) | {
        "status": "paid",
        "currency": "USD",
        "shipping_country": "US",
        "ordered_at": at,
        "updated_at": at,
    }
    land_rows(
        home,
        "orders",
        ORDER,
        [order | {"order_id": one, "customer_id": f"{CANARY}-{one}", "total_amount": "99.00"} for one in ("o1", "o2")],
        DAY + timedelta(days=1),
    )
    line = {"line_number": "1", "product_id": "p1", "unit_price": "10.25", "discount_amount": "0", "updated_at": at}
    lines = [line | {"order_id": one, "quantity": "2"} for one in ("o1", "o2")]
    land_rows(
        home,
        "order_items",
        LINE,
        [*lines, line | {"order_id": f"{CANARY}-o3", "quantity": f"{CANARY}"}],
        DAY + timedelta(days=1),
    )
    event = {"event_type": "page_view", "event_time": f"{DAY:%Y-%m-%d}T10:30:00Z", "properties": {"url": f"/{CANARY}"}}
    events = [
        event | {"event_id": f"e{number}", "visitor_id": f"{CANARY}-{number}", "user_agent": CANARY}
        for number in range(30)
    ]
    land_lines(home, DAY.replace(hour=10), [*map(json.dumps, events), f"{{broken {CANARY}"], DAY + timedelta(days=1))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    root = tmp_path_factory.mktemp("room")
    home = Home(root / "home", root / "landing")
    land(home)
    return home


def build(home: Home) -> str:
    """Build as a person does; return what is said."""
    shown = CliRunner().invoke(
        main, ["build"], env={"CLEARWELL_HOME": str(home.root), "CLICKSTREAM_LANDING": str(home.landing)}
    )
    assert shown.exit_code == 0, shown.output
    return shown.output


def test_a_build_writes_the_page_with_the_numbers_of_the_tables(home: Home) -> None:
    assert "published" in build(home)
    text = (home.root / control_room.NAME).read_text()
    assert state.last_build(home.published) in text
    rows, balanced = ledger.read(home)
    assert balanced
    for row in rows:
        assert (
            f'>{row["dataset"]}</th><td class="number">{row["bronze"]:,}</td><td class="number">{row["current"]:,}</td>'
            in text
        )
    assert "$41</td>" in text and ">2 orders</td>" in text
    assert "broken_json" in text and "clearwell dead-letters suggest" in text
    # every gold table says how far it is complete, and the slowest models how long they took
    assert ">daily_funnel</th>" in text and "Seconds of the 20 slowest models" in text
    # totals differ from the lines of the orders, whose ids are shown, but not the amounts
    assert "totals_match_lines" in text and ">o1</th>" in text and "99.00" not in text


def test_nothing_personal_or_raw_is_in_it(home: Home) -> None:
    text = (home.root / control_room.NAME).read_text()
    # it is in bronze, and in what a finding keeps
    assert any(CANARY.encode() in path.read_bytes() for path in home.landing.rglob("*.jsonl"))
    assert CANARY not in text


def test_a_page_that_cannot_be_written_fails_no_build(home: Home, tmp_path: Path) -> None:
    path = home.root / control_room.NAME
    path.unlink()
    path.mkdir()
    by = decide.By("tester", DAY + timedelta(days=2), "a test")
    batch = state.read(home.state, "ops.batches", "select batch_id from ops.batches where dataset = 'clickstream'")[0][
        "batch_id"
    ]
    decide.retract(home, batch, by)
    said = build(home)
    assert "the control room was not written" in said and "published" in said
    assert state.read(home.published, "ops.builds", "select count(*) as n from ops.builds")[0]["n"] == 2
    path.rmdir()
    # nothing to build: the page is written again all the same, as its times are as of now
    assert "nothing to build" in build(home) and path.is_file()
