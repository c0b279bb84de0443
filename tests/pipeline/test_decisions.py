"""Decisions: each changes what is current, is undone by its opposite, and is repeated by a full build."""

import json
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import duckdb
import pytest

from ingestion import bronze, sources
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.window import Window
from operations import decide, hashes, ledger, listings, status
from tests.pipeline.copies import copied
from warehouse import publish
from warehouse.build import Request, build
from warehouse.plan import pending

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
def built(both_days: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a copy of a home with two days, with a landing folder of its own."""
    root = tmp_path_factory.mktemp("built")
    shutil.copytree(both_days.landing, root / "landing")
    return replace(copied(both_days, root / "home"), landing=root / "landing")


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
    without = build_all(built)
    said = next(one for one in told if one.table == "gold.daily_revenue")
    for side, rows, others in (("before", given, revenue(built)), ("after", revenue(built), given)):
        assert sorted(tuple(row.values())[1:] for row in said.rows if row["side"] == side) == sorted(
            set(rows) - set(others)
        )
    restated = "ops.restatements where build_id = (select max_by(build_id, build_number) from ops.builds)"
    moved = ask(
        built, f"select sum(difference) from {restated} and gold_table = 'daily_revenue' and measure = 'net_amount'"
    )
    assert moved == [(net(revenue(built)) - net(given),)]
    late = ask(built, f"select distinct is_late from {restated} and gold_table = 'daily_revenue'")
    assert late == [(True,)], "decided weeks after its dates, beyond the two days that the contract allows"
    causes = ask(built, f"select distinct unnest(batch_ids) from {restated}")
    assert {cause for (cause,) in causes} == {batch, *(ref.batch_id for ref in bronze.list_batches(built, "decisions"))}
    assert ask(built, f"select 1 from records.orders where batch_id = '{batch}'") == [], "it is counted but not parsed"
    unparsed = f"select distinct fate, reasons, raw from records.refused where batch_id = '{batch}'"
    assert ask(built, unparsed) == [("withdrawn", ["retracted"], None)]
    back = {row[0] for row in ask(built, "select order_id from silver.orders")}
    assert {row[0] for row in lost} <= back
    withdrawn = ask(built, f"select count(*), count(decision) from silver.set_aside where batch_id = '{batch}'")
    assert withdrawn[0][0] == withdrawn[0][1] > 0
    assert full(built)["silver.orders"] == without["silver.orders"] != before["silver.orders"]
    decide.restore(built, batch, by("it was right"))
    assert build_all(built) == before
    with pytest.raises(Permanent, match="not retracted"):
        decide.restore(built, batch, by())


@dataclass(frozen=True)
class Settled:
    """Two dead letters of the clicks, one discarded and one corrected, and one of the order lines, corrected twice.

    They are settled in the same builds. The hashes: before them, with all of them, and after a full build; without them, and
    after another full build. The prices of the line: by the later correction, and by the earlier one once that is retracted.
    """

    thrown: str
    mended: str
    event_id: str
    landed: list[str]
    fates: dict[str, str]
    settled: dict[str, str]
    left: set[str]
    events: list[tuple]
    prices: list[list[str]]
    hashes: list[dict[str, str]]


@pytest.fixture(scope="module")
def settled(built: Home, tmp_path_factory: pytest.TempPathFactory) -> Settled:
    file, steps = tmp_path_factory.mktemp("mended") / "mended.json", [table_hashes(built)]
    letters = listings.dead_letter_records(built, "clickstream", "missing:visitor_id", limit=100)
    assert len(letters) >= 2
    thrown, mended = letters[0], letters[1]
    decide.discard(built, [thrown["record"]], by("a robot's"))
    event = json.loads(mended["raw"]) | {"visitor_id": "v-mended"}
    file.write_text(json.dumps([{**mended, "raw": json.dumps(event)}], default=str))
    landed = decide.resubmit(built, file, by("the visitor is known"))
    letter = listings.dead_letter_records(built, "order_items", None, limit=1)[0]
    row = json.loads(letter["raw"])
    batches = []
    for price in ("9.99", "1.11"):
        line = row | {"quantity": "2", "unit_price": price, "discount_amount": "0"}
        file.write_text(json.dumps({"record": letter["record"], "raw": line}))
        batches.append(decide.resubmit(built, file, by())[0].batch_id)
    steps.append(build_all(built))

    of_clicks = "select batch_id || ':' || record_no, fate from records.refused where dataset = 'clickstream' and fate <> 'dead_letter'"
    of_line = f"select unit_price::varchar from silver.order_items where (order_id, line_number) = ('{row['order_id']}', {row['line_number']})"
    found = Settled(
        *(thrown["record"], mended["record"], event["event_id"], [manifest.dataset for manifest in landed]),
        fates=dict(ask(built, of_clicks)),
        settled={
            one["record"]: one["settled"] for one in listings.dead_letter_records(built, limit=1000, settled=True)
        },
        left={one["record"] for one in listings.dead_letter_records(built, limit=1000)},
        events=ask(built, "select event_id from silver.clickstream where visitor_id = 'v-mended'"),
        prices=[[one for (one,) in ask(built, of_line)]],
        hashes=steps,
    )
    steps.append(full(built))
    decide.retract(built, batches[1], by())
    build_all(built)
    found.prices.append([one for (one,) in ask(built, of_line)])
    decide.retract(built, batches[0], by())
    # the correction is retracted: the original is a dead letter again
    decide.retract(built, landed[0].batch_id, by("it was not"))
    decide.undiscard(built, [thrown["record"]], by("it was a person"))
    steps += [build_all(built), full(built)]
    return found


def test_dead_letters_are_discarded_and_corrected(settled: Settled) -> None:
    assert settled.landed == ["clickstream", "decisions"]
    assert settled.fates == {settled.thrown: "withdrawn", settled.mended: "superseded"}
    assert settled.settled[settled.thrown] == "discarded" and settled.settled[settled.mended] == "corrected"
    assert not settled.left & settled.settled.keys()
    assert settled.events == [(settled.event_id,)]


def test_a_later_correction_takes_the_place_of_an_earlier_one(settled: Settled) -> None:
    assert settled.prices == [["1.1100"], ["9.9900"]]


def test_what_is_settled_comes_back_and_a_full_build_repeats_each_step(settled: Settled) -> None:
    before, after, full_after, undone, full_undone = settled.hashes
    assert full_after == after != before
    assert full_undone == undone == before


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
