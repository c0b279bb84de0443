"""Decisions: each changes what is current, is undone by its opposite, and is repeated by a full build."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from demo import simulate
from ingestion import bronze, sources
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.window import Window
from operations import decide, hashes, ledger, listings, status
from warehouse import publish
from warehouse.build import Request, build
from warehouse.plan import pending

DAYS = [("2026-11-01", "2026-11-02"), ("2026-11-02", "2026-11-03")]
clock = iter(datetime(2026, 11, 20, tzinfo=UTC) + timedelta(minutes=n) for n in range(1000))


def by(reason: str = "test") -> decide.By:
    return decide.By("tester", next(clock), reason)


def ask(home: Home, question: str) -> list[tuple]:
    with duckdb.connect(str(home.state), read_only=True) as state:
        return state.sql(question).fetchall()


def build_all(home: Home, *, full: bool = False) -> dict[str, str]:
    """Build, see that everything balances, and return the hash of each table."""
    build(home, Request(full=full, reason="test"), next(clock))
    assert ledger.recount(home) == ([], True)
    return table_hashes(home)


def table_hashes(home: Home) -> dict[str, str]:
    return {f"{row['schema']}.{row['table']}": row["hash"] for row in hashes.read(home)}


def net(rows: list[tuple]) -> Decimal:
    return sum((row[7] for row in rows), Decimal(0))


def revenue(home: Home) -> list[tuple]:
    with duckdb.connect(str(home.published), read_only=True) as published:
        return published.sql("from gold.daily_revenue order by all").fetchall()


def full(home: Home) -> dict[str, str]:
    return build_all(home, full=True)


@pytest.fixture(scope="module")
def built(shop: Home) -> Home:
    simulate.simulate(shop, date(2026, 11, 1), date(2026, 11, 3), orders_per_day=120, events_per_day=3000)
    for day in DAYS:
        for source in sources.SOURCES:
            sources.ingest(source, Window.parse(*day), shop, next(clock))
            sources.source_counts(source, Window.parse(*day), shop, next(clock))
    build(shop, Request(), next(clock))
    return shop


def batch_of(home: Home, dataset: str, day: str) -> str:
    return next(ref.batch_id for ref in bronze.list_batches(home, dataset) if ref.date.isoformat() == day)


def test_a_retracted_batch_leaves_its_losers_come_back_and_restore_undoes_it(built: Home) -> None:
    before = table_hashes(built)
    batch = batch_of(built, "orders", "2026-11-02")
    lost = ask(
        built,
        f"select order_id from records.orders where fate <> 'current' and batch_id <> '{batch}' and order_id in (select order_id from records.orders where batch_id = '{batch}' and fate = 'current')",
    )
    assert lost, "some orders of the first day changed on the second"
    decide.retract(built, batch, by("bad export"))
    with pytest.raises(Permanent, match="already"):
        decide.retract(built, batch, by())
    given = revenue(built)
    told = build(built, Request(dry_run=True), next(clock)).differences
    assert (revenue(built), table_hashes(built)) == (given, before), "a dry run changes nothing"
    build_all(built)
    said = next(one for one in told if one.table == "gold.daily_revenue")
    for side, rows, others in (("before", given, revenue(built)), ("after", revenue(built), given)):
        assert sorted(tuple(row.values())[1:] for row in said.rows if row["side"] == side) == sorted(
            set(rows) - set(others)
        )
    moved = ask(
        built,
        "select sum(difference) from ops.restatements where gold_table = 'daily_revenue' and measure = 'net_amount'",
    )
    assert moved == [(net(revenue(built)) - net(given),)]
    late = ask(built, "select distinct is_late from ops.restatements where gold_table = 'daily_revenue'")
    assert late == [(True,)], "decided weeks after its dates, beyond the two days that the contract allows"
    causes = ask(built, "select distinct unnest(batch_ids) from ops.restatements")
    assert {cause for (cause,) in causes} == {batch, *(ref.batch_id for ref in bronze.list_batches(built, "decisions"))}
    assert ask(built, f"select 1 from records.orders where batch_id = '{batch}'") == [], "it is counted but not parsed"
    unparsed = f"select distinct fate, reasons, raw from records.refused where batch_id = '{batch}'"
    assert ask(built, unparsed) == [("withdrawn", ["retracted"], None)]
    back = {row[0] for row in ask(built, "select order_id from silver.orders")}
    assert {row[0] for row in lost} <= back
    withdrawn = ask(built, f"select count(*), count(decision) from silver.set_aside where batch_id = '{batch}'")
    assert withdrawn[0][0] == withdrawn[0][1] > 0
    assert full(built)["silver.orders"] == table_hashes(built)["silver.orders"] != before["silver.orders"]
    decide.restore(built, batch, by("it was right"))
    assert build_all(built) == before
    with pytest.raises(Permanent, match="not retracted"):
        decide.restore(built, batch, by())


def test_dead_letters_are_discarded_and_corrected_and_come_back(built: Home, tmp_path: Path) -> None:
    before = table_hashes(built)
    letters = listings.dead_letter_records(built, "clickstream", "missing:visitor_id", limit=100)
    assert len(letters) >= 2
    thrown, mended = letters[0], letters[1]
    decide.discard(built, [thrown["record"]], by("a robot's"))
    event = json.loads(mended["raw"]) | {"visitor_id": "v-mended"}
    file = tmp_path / "mended.json"
    file.write_text(json.dumps([{**mended, "raw": json.dumps(event)}], default=str))
    landed = decide.resubmit(built, file, by("the visitor is known"))
    assert [manifest.dataset for manifest in landed] == ["clickstream", "decisions"]
    after = build_all(built)
    fates = dict(
        ask(built, "select batch_id || ':' || record_no, fate from records.refused where fate <> 'dead_letter'")
    )
    assert fates == {thrown["record"]: "withdrawn", mended["record"]: "superseded"}
    settled = {row["record"]: row["settled"] for row in listings.dead_letter_records(built, limit=1000, settled=True)}
    assert settled[thrown["record"]] == "discarded" and settled[mended["record"]] == "corrected"
    left = {row["record"] for row in listings.dead_letter_records(built, limit=1000)}
    assert not left & settled.keys()
    assert ask(built, "select event_id from silver.clickstream where visitor_id = 'v-mended'") == [(event["event_id"],)]
    assert full(built) == after != before
    # the correction is retracted: the original is a dead letter again
    decide.retract(built, landed[0].batch_id, by("it was not"))
    decide.undiscard(built, [thrown["record"]], by("it was a person"))
    assert build_all(built) == before
    assert full(built) == before


def test_a_later_correction_takes_the_place_of_an_earlier_one(built: Home, tmp_path: Path) -> None:
    before = table_hashes(built)
    letter = listings.dead_letter_records(built, "order_items", None, limit=1)[0]
    row = json.loads(letter["raw"])
    file = tmp_path / "mended.jsonl"
    batches = []
    for price in ("9.99", "1.11"):
        mended = row | {"quantity": "2", "unit_price": price, "discount_amount": "0"}
        file.write_text(json.dumps({"record": letter["record"], "raw": mended}))
        batches.append(decide.resubmit(built, file, by())[0].batch_id)
    after = build_all(built)
    price = f"select unit_price from silver.order_items where (order_id, line_number) = ('{row['order_id']}', {row['line_number']})"
    assert [str(found[0]) for found in ask(built, price)] == ["1.1100"]
    assert full(built) == after
    decide.retract(built, batches[1], by())
    build_all(built)
    assert [str(found[0]) for found in ask(built, price)] == ["9.9900"]
    decide.retract(built, batches[0], by())
    assert build_all(built) == before


def test_a_batch_full_of_refusals_is_held_until_a_person_accepts_it(built: Home) -> None:
    before = table_hashes(built)
    broken = built.landing / "2026-11-02" / "12" / "broken.jsonl"
    broken.write_text("".join(f'{{"event_id": "broken-{n}"}}\n' for n in range(150)))
    sources.ingest("clickstream", Window.parse("2026-11-02T12:00", "2026-11-02T13:00"), built, next(clock))
    assert build_all(built) == before
    found = status.read(built, next(clock))
    assert not found["healthy"] and [row["refused_records"] for row in found["held"]] == [150]
    assert not pending(built), "a held batch does not start a build"
    short = "select short_windows from ops.completeness where dataset = 'clickstream'"
    assert ask(built, short) == [(1,)]
    decide.accept(built, decide.select_findings(built, found["held"][0]["finding"]), by("we know"))
    assert pending(built)
    after = build_all(built)
    assert ask(built, "select count(*) from silver.dead_letters where raw like '%broken-%'") == [(150,)]
    assert not status.read(built, next(clock))["held"]
    assert ask(built, short) == [(0,)]
    assert full(built) == after


def test_an_older_state_is_pinned_until_unpin(built: Home) -> None:
    def published() -> str:
        with duckdb.connect(str(built.published), read_only=True) as file:
            return str(file.sql("select max_by(build_id, build_number) from ops.builds").fetchone()[0])

    latest = published()
    older = sorted(path.stem for path in (built.published.parent / "kept").glob("*.duckdb"))[0]
    assert older != latest
    with pytest.raises(Permanent, match=older):
        publish.pin(built, "nonsense", "test", "tester", next(clock))
    publish.pin(built, older, "the new numbers are wrong", "tester", next(clock))
    assert published() == older
    build(built, Request(date(2026, 11, 1), date(2026, 11, 2), reason="test"), next(clock))
    assert published() == older and not status.read(built, next(clock))["healthy"]
    publish.unpin(built)
    assert published() > latest
