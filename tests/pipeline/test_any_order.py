"""The same raw records and decisions, however split, repeated and ordered, give the tables that plain Python computes.

A random shop: orders that change status and date, late, duplicate and refused records, a batch that is retracted and
restored, one that stays retracted, a dead letter that is corrected. The computation here shares only the rules with
the pipeline.
"""

import itertools
import json
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from demo import simulate
from ingestion import sources
from ingestion.home import Home
from ingestion.window import Window
from operations import decide, hashes, ledger, listings
from tests.pipeline.delivery import LINE, ORDER, Row, assert_repeats, land_lines, land_rows, pieces
from tests.unit.ingestion.killed import killed_at
from warehouse.build import Request, build
from warehouse.engines import DUCKDB

FIRST = datetime(2026, 11, 1, tzinfo=UTC)
LANDED = datetime(2026, 11, 3, tzinfo=UTC)
NOW = datetime(2026, 11, 20, tzinfo=UTC)


@dataclass
class Shop:
    """What the sources deliver, in pieces that may arrive in any order, and the records that decisions are about."""

    orders: list[Row]
    lines: list[Row]
    events: list[str]
    junk: list[Row]
    restored: list[Row]
    wrong_line: Row
    mended_line: Row


def moment(pick: random.Random, day: int) -> str:
    at = FIRST + timedelta(days=day, seconds=pick.randrange(86_400))
    return at.isoformat(sep=" ")


def make_shop(seed: int) -> Shop:
    pick = random.Random(seed)
    orders, lines = [], []
    for number in range(pick.randint(4, 9)):
        day = pick.randrange(3)
        ordered_at = moment(pick, day)
        for version in range(pick.randint(1, 3)):
            if pick.random() < 0.3:
                ordered_at = moment(pick, pick.randrange(4))
            orders.append(order(pick, f"o{number}", ordered_at, version))
        for line_number in range(1, pick.randint(2, 4)):
            lines += [line(pick, f"o{number}", line_number, version) for version in range(pick.randint(1, 2))]
    wrong = line(pick, "o0", 9, 0) | {"quantity": "0"}
    junk = [order(pick, "o0", moment(pick, 2), 7), order(pick, "junk", moment(pick, 1), 0)]
    restored = [order(pick, "o1", moment(pick, 1), 8)]
    events = [event(pick, number) for number in range(pick.randint(8, 20))]
    events += ["{broken", '{"event_id": "x"}']
    return Shop(
        orders=orders + pick.sample(orders, 2),
        lines=[*lines, *pick.sample(lines, 2), wrong],
        events=events + pick.sample(events, 3),
        junk=junk,
        restored=restored,
        wrong_line=wrong,
        mended_line=wrong | {"quantity": "3"},
    )


def order(pick: random.Random, order_id: str, ordered_at: str, version: int) -> Row:
    updated_at = (FIRST + timedelta(days=5, hours=version)).isoformat(sep=" ")
    currency = None if version and pick.random() < 0.15 else pick.choice(["EUR", "USD"])
    values = [
        order_id,
        "c1",
        pick.choice(["paid", "paid", "cancelled"]),
        currency,
        None,
        pick.choice(["DE", None]),
        "1.00",
        ordered_at,
        updated_at,
    ]
    return dict(zip(ORDER, values, strict=True))


def line(pick: random.Random, order_id: str, number: int, version: int) -> Row:
    updated_at = (FIRST + timedelta(days=5, hours=version)).isoformat(sep=" ")
    price = f"{pick.randrange(-500, 5000) / 100:.4f}"
    quantity = str(pick.choice([1, 2, 5, -1]))
    return dict(
        zip(
            LINE, [order_id, str(number), "p1", quantity, price, pick.choice([None, "0.5000"]), updated_at], strict=True
        )
    )


def event(pick: random.Random, number: int) -> str:
    body = {
        "event_id": f"e{number}",
        "event_type": pick.choice(["click", "search"]),
        "event_time": (FIRST + timedelta(hours=pick.randrange(72))).isoformat(),
        "visitor_id": pick.choice(["v1", "v2", "v3"]),
    }
    # some events have a field that is in no contract
    return json.dumps(body | ({"experiment": "a"} if number % 4 == 1 else {}))


# --- the pipeline, driven one way or another -------------------------------------------------------------------------


def drive(root: Path, shop: Shop, seed: int, engines: Iterable[str] = (DUCKDB,)) -> Home:
    """Deliver the shop's records in pieces, in random order, with builds in between; make decisions and undo some.

    The builds use the engines in turn.
    """
    pick = random.Random(seed)
    engine = itertools.cycle(engines)
    home = Home(root, root / "landing")
    at = iter(NOW + timedelta(minutes=n) for n in range(1000))

    def by() -> decide.By:
        return decide.By("tester", next(at), "test")

    work = [("orders", ORDER, part) for part in pieces(pick, shop.orders)]
    work += [("order_items", LINE, part) for part in pieces(pick, shop.lines)]
    work += [("clickstream", None, part) for part in pieces(pick, shop.events)]
    work = pick.sample(work, len(work))
    junk = land_rows(home, "orders", ORDER, shop.junk, next(at))
    restored = land_rows(home, "orders", ORDER, shop.restored, next(at))
    stop = pick.randint(1, len(work) - 1)
    for number, (dataset, columns, part) in enumerate(work):
        if number == stop:
            build(home, Request(engine=next(engine)), next(at))
            decide.retract(home, restored, by())
            decide.retract(home, junk, by())
        if columns:
            batch = land_rows(home, dataset, columns, part, next(at))
            if pick.random() < 0.3:
                assert land_rows(home, dataset, columns, part, next(at)) == batch, (
                    "landing the same rows again gives the same batch"
                )
        else:
            hour = LANDED + timedelta(hours=pick.randrange(24))
            land_lines(home, hour, part, NOW + timedelta(days=1))
    build(home, Request(engine=next(engine)), next(at))
    decide.restore(home, restored, by())
    letters = listings.dead_letter_records(home, "order_items", None, 100)
    letter = next(one for one in letters if '"line_number":"9"' in one["raw"].replace(": ", ":"))
    file = root / "mended.json"
    file.write_text(json.dumps({"record": letter["record"], "raw": shop.mended_line}))
    decide.resubmit(home, file, by())
    build(home, Request(engine=next(engine)), next(at))
    return home


# --- the same, in plain Python ---------------------------------------------------------------------------------------


def winners(rows: list[Row], key: list[str]) -> tuple[dict[tuple, Row], Counter]:
    """Return the current row of each key, and how many rows have each fate."""
    groups, fates = defaultdict(list), Counter()
    for row in rows:
        groups[tuple(row[name] for name in key)].append(row)
    for members in groups.values():
        distinct = {tuple(row.items()) for row in members}
        fates.update(current=1, superseded=len(distinct) - 1, duplicate=len(members) - len(distinct))
    return {key: max(members, key=lambda row: row["updated_at"]) for key, members in groups.items()}, fates


def expected(shop: Shop) -> dict[str, object]:
    all_orders = shop.orders + shop.restored
    good = [row for row in all_orders if row["currency"]]
    orders, order_fates = winners(good, ["order_id"])
    good_lines = [row for row in shop.lines if row["quantity"] != "0"] + [shop.mended_line]
    lines, line_fates = winners(good_lines, ["order_id", "line_number"])
    revenue = defaultdict(lambda: [set(), 0, Decimal(0), Decimal(0)])
    for item in lines.values():
        parent = orders.get((item["order_id"],))
        if parent and parent["status"] != "cancelled":
            day = datetime.fromisoformat(parent["ordered_at"]).astimezone(UTC).date()
            cell = revenue[day, parent["shipping_country"] or "ZZ", parent["currency"]]
            quantity = int(item["quantity"])
            amount = quantity * Decimal(item["unit_price"]) - Decimal(item["discount_amount"] or 0)
            cell[0].add(item["order_id"])
            cell[1] += quantity
            cell[2 if quantity > 0 else 3] += amount if quantity > 0 else -amount
    read = [json.loads(text) for text in shop.events if text != "{broken"]
    events = [one for one in read if "event_time" in one]
    distinct = {(one["event_id"], one["event_time"]): one for one in events}
    traffic = defaultdict(lambda: [0, set()])
    for one in distinct.values():
        cell = traffic[datetime.fromisoformat(one["event_time"]).date(), one["event_type"]]
        cell[0] += 1
        cell[1].add(one["visitor_id"])
    # all junk is withdrawn, including what its contract refuses
    order_fates.update(withdrawn=len(shop.junk), dead_letter=len(all_orders) - len(good))
    line_fates.update(superseded=1)
    event_fates = Counter(
        current=len(distinct), duplicate=len(events) - len(distinct), dead_letter=len(shop.events) - len(events)
    )
    return {
        "revenue": sorted((*cell, len(ids), units, gross, back) for cell, (ids, units, gross, back) in revenue.items()),
        "traffic": sorted((*cell, count, len(visitors)) for cell, (count, visitors) in traffic.items()),
        "fates": {
            name: +fates
            for name, fates in (("orders", order_fates), ("order_items", line_fates), ("clickstream", event_fates))
        },
    }


def found(home: Home) -> dict[str, object]:
    with duckdb.connect(str(home.published), read_only=True) as published:
        fates: dict[str, Counter] = defaultdict(Counter)
        for dataset, fate, records in published.sql(
            "select dataset, fate, sum(records)::int from ops.ledger where dataset <> 'decisions' group by all"
        ).fetchall():
            fates[dataset][fate] = records
        return {
            "revenue": sorted(
                published.sql(
                    "select order_date, country, currency, orders, units, gross_amount, refunded_amount from gold.daily_revenue"
                ).fetchall()
            ),
            "traffic": sorted(published.sql("from gold.daily_traffic").fetchall()),
            "fates": dict(fates),
        }


def table_hashes(home: Home) -> dict[str, str]:
    return {f"{row['schema']}.{row['table']}": row["hash"] for row in hashes.read(home)}


def accounts(home: Home) -> dict[str, list[tuple]]:
    """Read every table of ops except append-only ones, without the columns that say which build wrote a row."""
    with duckdb.connect(str(home.state), read_only=True) as state:
        tables = state.sql(
            "select distinct table_name, list(column_name order by column_index) from duckdb_columns() where schema_name = 'ops' "
            "and table_name not in ('builds', 'findings', 'restatements', 'runs') and column_name not in ('build_id', 'model_version') "
            "group by table_name"
        ).fetchall()
        return {
            table: state.sql(f"select {', '.join(columns)} from ops.{table} order by all").fetchall()
            for table, columns in tables
        }


def check(seed: int) -> None:
    shop = make_shop(seed)
    with tempfile.TemporaryDirectory() as folder:
        one = drive(Path(folder) / "one", shop, seed)
        assert found(one) == expected(shop)
        assert ledger.recount(one) == ([], True)
        other = drive(Path(folder) / "other", shop, seed + 1)
        assert found(other) == expected(shop)
        assert table_hashes(other) == table_hashes(one)
        in_builds = accounts(one)
        build(one, Request(full=True, reason="test"), NOW + timedelta(days=2))
        assert table_hashes(one) == table_hashes(other)
        assert accounts(one) == in_builds


def test_one_shop() -> None:
    check(20261101)


@pytest.mark.long
@given(seed=st.integers(0, 10**9))
@settings(max_examples=6, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_any_shop(seed: int) -> None:
    check(seed)


@pytest.mark.long
def test_every_source_in_any_order(shop: Home, tmp_path: Path) -> None:
    """Tables, folder hours and files, read by their own code: windows in any order, repeated, and killed at any write."""
    simulate.simulate(shop, date(2026, 11, 1), date(2026, 11, 4), orders_per_day=20, events_per_day=200)
    days = [Window.parse(f"2026-11-0{day}", f"2026-11-0{day + 1}") for day in (1, 2, 3)]
    homes = []
    for seed in range(2):
        pick = random.Random(seed)
        home = Home(tmp_path / str(seed), shop.landing, shop.database_url())
        work = [(source, day) for source in sources.SOURCES for day in days]
        killed = [(*one, pick.randrange(60)) for one in pick.choices(work, k=12)]
        runs = [*pick.sample(killed, 12), *((*one, None) for one in pick.sample(work, len(work)))]
        for number, (source, day, kill) in enumerate(runs):
            at = NOW + timedelta(minutes=number)
            with killed_at(kill):
                sources.ingest(source, day, home, at)
            if pick.random() < 0.15:
                build(home, Request(), at)
        build(home, Request(), NOW + timedelta(days=1))
        homes.append(home)
    one, other = homes
    assert found(one) == found(other) and found(one)["revenue"] and found(one)["traffic"]
    assert table_hashes(one) == table_hashes(other)
    assert_repeats(one, NOW + timedelta(days=2))


def good_orders(pick: random.Random, day: int, count: int) -> list[Row]:
    return [order(pick, f"d{day}-{n}", moment(pick, day), 0) | {"currency": "EUR"} for n in range(count)]


def is_held(home: Home) -> dict[str, bool]:
    with duckdb.connect(str(home.state), read_only=True) as state:
        query = "select record_date::varchar, is_held from ops.reconciliation where dataset = 'orders' and record_date is not null"
        return dict(state.sql(query).fetchall())


def test_a_hold_of_many_days_marks_them_all_as_long_as_it_lasts(tmp_path: Path) -> None:
    pick = random.Random(1)
    home = Home(tmp_path, tmp_path / "landing")
    days = Window.parse("2026-11-01", "2026-11-04")
    for day in (0, 1, 4):
        land_rows(home, "orders", ORDER, good_orders(pick, day, 2), NOW, days)
    build(home, Request(), NOW)
    bad = [row | {"currency": None, "order_id": f"bad {row['order_id']}"} for row in good_orders(pick, 2, 30)]
    held = land_rows(home, "orders", ORDER, bad, NOW + timedelta(minutes=1), days)
    build(home, Request(), NOW + timedelta(minutes=1))
    assert is_held(home) == {"2026-11-01": True, "2026-11-02": True, "2026-11-05": False}
    assert ledger.recompute(home, NOW + timedelta(minutes=2)) == []
    decide.accept(home, decide.select_findings(home, held), decide.By("tester", NOW + timedelta(minutes=3), "meant"))
    build(home, Request(), NOW + timedelta(minutes=3))
    assert is_held(home) == dict.fromkeys(("2026-11-01", "2026-11-02", "2026-11-03", "2026-11-05"), False)
    assert ledger.recompute(home, NOW + timedelta(minutes=4)) == []
