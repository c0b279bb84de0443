"""CSV rows that cannot be split into columns become dead letters with a reason, kept as they came; the rest is current."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion import sources
from ingestion.home import Home
from ingestion.window import Window
from operations import decide, ledger, listings, suggest, trace
from warehouse import state
from warehouse.build import Request, build

NOW = datetime(2026, 11, 20, tzinfo=UTC)
FILE = (
    b"rate_date,currency,rate,updated_at\n"
    b"2026-11-02,USD,1.1,2026-11-02T15:00:00Z\n"
    b"2026-11-02,CHF\n"
    b"2026-11-02,\xe9,1.3,2026-11-02T15:00:00Z\n"
    b'2026-11-02,"GBP"x,1.4,2026-11-02T15:00:00Z\n'
    b"2026-11-32,SEK,1.5,2026-11-02T15:00:00Z\n"
    b"2026-11-02,JPY,170,2026-11-02T15:00:00Z\n"
)
_GOOD = "select distinct currency from records.exchange_rates where fate = 'current' order by 1"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    root = tmp_path_factory.mktemp("bad_rows")
    path: Path = root / "rates.csv"
    path.write_bytes(FILE)
    home = Home(root / "home", root / "landing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXCHANGE_RATES", str(path))
        for day in (2, 3):
            window = Window.parse(f"2026-11-0{day}", f"2026-11-0{day + 1}")
            sources.ingest("exchange_rates", window, home, NOW.replace(day=5))
        build(home, Request(), NOW)
        held = state.read(home.state, "ops.held", "select batch_id from ops.held where batch_id = broken_batch_id")
        for row in held:
            decide.accept(home, decide.select_findings(home, row["batch_id"]), decide.By("test", NOW, "they are meant"))
        if held:
            build(home, Request(), NOW.replace(hour=1))
        yield home


def test_the_good_rows_are_there_and_each_bad_one_says_why(built: Home) -> None:
    good = state.read(built.state, "records.exchange_rates", _GOOD)
    assert [row["currency"] for row in good] == ["JPY", "USD"]
    found = {row["raw"]: row for row in listings.dead_letter_records(built, "exchange_rates")}
    told = {raw: (row["reasons"], row["source_line"]) for raw, row in found.items() if row["source_line"]}
    assert told == {
        "2026-11-02,CHF\n": (["ragged_row"], 3),
        b"2026-11-02,\xe9,1.3,2026-11-02T15:00:00Z\n".hex().upper(): (["invalid_utf8"], 4),
        '2026-11-02,"GBP"x,1.4,2026-11-02T15:00:00Z\n': (["broken_quoting"], 5),
    }
    (sek,) = [json.loads(raw) for raw, row in found.items() if not row["source_line"]]
    assert sek["currency"] == "SEK" and "bad_row" not in sek


def test_they_are_in_the_accounts_and_can_be_traced(built: Home) -> None:
    rows, balanced = ledger.read(built, "exchange_rates")
    assert balanced and rows[0]["dead_letter"] >= 4
    assert ledger.recount(built) == ([], True)
    for row in listings.dead_letter_records(built, "exchange_rates"):
        (told,) = trace.record(built, row["record"])
        assert told["reasons"] == row["reasons"] and told["raw"]
    assert {"ragged_row", "broken_quoting"} <= {row["reasons"] for row in suggest.suggestions(built)}
