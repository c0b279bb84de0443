"""The simulated shop: the same seed gives the same shop, however time passes in it."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
import zstandard

from demo import postgres, simulate
from ingestion.errors import Transient
from ingestion.home import Home

SIZES = {"orders_per_day": 60, "events_per_day": 1500}


def lines(home: Home) -> list[tuple[str, bytes]]:
    """List each line with its file, in order."""
    found: list[tuple[str, bytes]] = []
    for path in sorted(home.landing.rglob("*.jsonl*")):
        body = path.read_bytes()
        if path.suffix == ".gz":
            body = gzip.decompress(body)
        elif path.suffix == ".zst":
            body = zstandard.ZstdDecompressor().decompressobj().decompress(body)
        assert body.endswith(b"\n")
        found += [(str(path.relative_to(home.landing)), line) for line in body[:-1].split(b"\n")]
    return found


def tables(home: Home) -> list[list[tuple[object, ...]]]:
    with psycopg.connect(home.database_url()) as shop:
        names = ("customers", "products", "orders", "order_items")
        return [shop.execute(f"select {name}::text from shop.{name} order by 1").fetchall() for name in names]


@pytest.fixture(scope="module")
def at_once(shop: Home) -> Home:
    simulate.simulate(shop, date(2026, 11, 1), date(2026, 11, 4), **SIZES)
    return shop


@pytest.fixture(scope="module")
def day_by_day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    root = tmp_path_factory.mktemp("days")
    home = Home(root, root / "landing")
    postgres.start(home)
    for day in (1, 2, 3):
        simulate.simulate(home, date(2026, 11, day), date(2026, 11, day + 1), **SIZES)
    yield home
    postgres.stop(home)


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    root = tmp_path_factory.mktemp("another")
    home = Home(root, root / "landing")
    postgres.start(home)
    yield home
    postgres.stop(home)


def test_day_by_day_equals_all_at_once(at_once: Home, day_by_day: Home) -> None:
    assert tables(day_by_day) == tables(at_once)
    assert lines(day_by_day) == lines(at_once)
    assert truth(day_by_day) == truth(at_once)


def test_days_that_exist_stay_as_they_are(at_once: Home) -> None:
    before = {path: path.stat().st_mtime_ns for path in at_once.landing.rglob("*.jsonl*")}
    told = truth(at_once)
    simulate.simulate(at_once, date(2026, 11, 2), date(2026, 11, 4), seed=9, **SIZES)
    assert {path: path.stat().st_mtime_ns for path in at_once.landing.rglob("*.jsonl*")} == before
    assert truth(at_once) == told


def test_another_seed_is_another_shop(at_once: Home, another: Home) -> None:
    simulate.simulate(another, date(2026, 11, 1), date(2026, 11, 2), seed=2, **SIZES)
    assert not {line for _, line in lines(another)} & {line for _, line in lines(at_once)}


def test_a_day_opened_after_the_next_gives_it_nothing_more(another: Home) -> None:
    simulate.simulate(another, date(2026, 12, 2), date(2026, 12, 3), **SIZES)
    before = lines(another)
    simulate.simulate(another, date(2026, 12, 1), date(2026, 12, 2), **SIZES)
    assert [one for one in lines(another) if not one[0].startswith("2026-12-01")] == before
    assert told(another, "fates", "date", "fate") == count_clicks(another)[0]


def test_the_truth_of_clicks_agrees_with_a_slow_and_plain_count(at_once: Home) -> None:
    fates, reasons = count_clicks(at_once)
    assert told(at_once, "fates", "date", "fate") == fates
    assert told(at_once, "dead_letters", "date", "reason") == reasons
    assert {fate for _, fate in fates} == {"current", "duplicate", "superseded", "dead_letter"}
    assert len(lines(at_once)) == fates.total()


def test_the_truth_of_traffic_agrees_with_a_slow_and_plain_count(at_once: Home) -> None:
    events: dict[tuple[str, str], set[str]] = {}
    visitors: dict[tuple[str, str], set[str]] = {}
    for _, line in lines(at_once):
        event, reason = read(line)
        if event and not reason:
            key = (event["event_time"][:10], event["event_type"])
            events.setdefault(key, set()).add(event["event_id"])
            visitors.setdefault(key, set()).add(event["visitor_id"])
    assert {
        (row["event_date"], row["event_type"]): (row["events"], row["visitors"]) for row in truth(at_once)["traffic"]
    } == {key: (len(events[key]), len(visitors[key])) for key in events}


def test_the_truth_of_orders_agrees_with_decimals_added_one_by_one(at_once: Home) -> None:
    with psycopg.connect(at_once.database_url()) as shop:
        shop.execute("set time zone 'UTC'")
        rows = shop.execute(
            "select order_id, status, shipping_country, currency, ordered_at from shop.orders"
        ).fetchall()
        items = shop.execute("select order_id, quantity, unit_price, discount_amount from shop.order_items").fetchall()
    orders = {row[0]: row[1:] for row in rows}
    cells: dict[tuple[str, ...], dict[str, Any]] = {}
    for order_id, quantity, price, discount in items:
        status, country, currency, ordered_at = orders[order_id]
        if status == "cancelled" or price.is_nan():
            continue
        cell = cells.setdefault(
            (str(ordered_at.date()), country or "ZZ", currency),
            {"orders": set(), "units": 0, "gross": Decimal(0), "refunded": Decimal(0)},
        )
        cell["orders"].add(order_id)
        cell["units"] += quantity
        cell["gross" if quantity > 0 else "refunded"] += (quantity * price - discount) * (1 if quantity > 0 else -1)
    found = {
        key: (len(cell["orders"]), cell["units"], cell["gross"], cell["refunded"], cell["gross"] - cell["refunded"])
        for key, cell in cells.items()
    }
    amounts = ("gross_amount", "refunded_amount", "net_amount")
    assert found == {
        (row["order_date"], row["country"], row["currency"]): (
            row["orders"],
            row["units"],
            *(Decimal(row[name]) for name in amounts),
        )
        for row in truth(at_once)["revenue"]
    }
    assert all(len(row[name].split(".")[1]) == 4 for row in truth(at_once)["revenue"] for name in amounts)
    assert told(at_once, "fates", "date", "fate", dataset="orders") == Counter(
        (str(row[-1].date()), "current") for row in rows
    )


def test_the_shop_is_as_odd_as_promised(at_once: Home) -> None:
    questions = {
        "returns": "select count(*) from shop.order_items where quantity < 0",
        "currencies": "select count(distinct currency) - 2 from shop.orders",
        "totals of 0": "select count(*) - 2 from shop.orders where total_amount = 0",
        "guests": "select count(*) from shop.orders where customer_id is null",
        "not a number": "select count(*) from shop.order_items where unit_price = 'NaN'",
        "repeat customers": "select count(customer_id) - count(distinct customer_id) from shop.orders",
        "statuses": "select count(distinct status) - 4 from shop.orders",
        "seen after the end": "select (select until from simulation.clock) > max(updated_at) from shop.orders",
    }
    with psycopg.connect(at_once.database_url()) as shop:
        for what, question in questions.items():
            row = shop.execute(question).fetchone()
            assert row and row[0] > 0, what


def test_the_mess_is_there_and_below_one_percent_a_kind(at_once: Home) -> None:
    fates, reasons = count_clicks(at_once)
    kinds: Counter[str] = Counter()
    for (_, reason), records in reasons.items():
        kinds[reason] += records
    for (_, fate), records in fates.items():
        kinds[fate] += records if fate in ("duplicate", "superseded") else 0
    assert {"broken_json", "invalid_utf8", "duplicate", "superseded", "wrong_type:unit_price"} < set(kinds)
    assert all(kinds[kind] < fates.total() / 100 for kind in kinds)
    hours = [(name, json.loads(line)["event_time"]) for name, line in lines(at_once) if not read(line)[1]]
    late = [name for name, at in hours if f"{at[:10]}/{at[11:13]}" < name[:13]]
    assert 0 < len(late) < len(hours) / 20
    assert not [name for name, at in hours if f"{at[:10]}/{at[11:13]}" > name[:13]]


def truth(home: Home) -> dict[str, list[dict[str, Any]]]:
    return json.loads((home.shop / "truth.json").read_text())


def told(home: Home, what: str, *columns: str, dataset: str = "clickstream") -> Counter[tuple[str, ...]]:
    rows = [row for row in truth(home)[what] if row["dataset"] == dataset]
    return Counter({tuple(row[column] for column in columns): row["records"] for row in rows})


def read(line: bytes) -> tuple[dict[str, Any] | None, str | None]:
    """Parse a line in plain Python; return the object, and why it is refused."""
    try:
        event = json.loads(line.decode())
    except UnicodeDecodeError:
        return None, "invalid_utf8"
    except ValueError:
        return None, "broken_json"
    for name in ("event_id", "event_type", "event_time", "visitor_id"):
        if not event.get(name):
            return event, f"missing:{name}"
    if not isinstance(event["quantity"], int | None):
        return event, "wrong_type:quantity"
    if not isinstance(event["unit_price"], str | None):
        return event, "wrong_type:unit_price"
    if event["quantity"] == 0:
        return event, "out_of_range:quantity"
    try:
        at = datetime.fromisoformat(event["event_time"])
    except ValueError:
        return None, "not_parsed:event_time"
    return event, "in_future:event_time" if at > datetime(2030, 1, 1, tzinfo=UTC) else None


def count_clicks(home: Home) -> tuple[Counter[tuple[str, ...]], Counter[tuple[str, ...]]]:
    """Count fates and reasons by date, line by line."""
    fates: Counter[tuple[str, ...]] = Counter()
    reasons: Counter[tuple[str, ...]] = Counter()
    contents: dict[tuple[str, str], set[bytes]] = {}
    for name, line in lines(home):
        event, reason = read(line)
        day = event["event_time"][:10] if event else name[:10]
        if reason or not event:
            fates[day, "dead_letter"] += 1
            reasons[day, str(reason)] += 1
            continue
        seen = contents.setdefault((day, event["event_id"]), set())
        fates[day, "duplicate" if line in seen else "superseded" if seen else "current"] += 1
        seen.add(line)
    return fates, reasons


def test_whoever_waits_for_the_turn_is_told_and_no_bound_on_locks_ends_it(
    at_once: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with psycopg.connect(at_once.database_url(), autocommit=True) as other:
        other.execute("select pg_advisory_lock(hashtext('simulation'))")
        monkeypatch.setattr(simulate, "sleep", lambda _: other.execute("select pg_advisory_unlock_all()"))
        simulate.advance(at_once, datetime(2026, 11, 4, tzinfo=UTC), report=said.append)
        assert any(line.startswith("waiting for another process that simulates") for line in said)
        other.execute("select pg_advisory_lock(hashtext('simulation'))")
        monkeypatch.setattr(simulate, "sleep", lambda _: None)
        with pytest.raises(Transient, match="another process"):
            simulate.last_day(at_once)
