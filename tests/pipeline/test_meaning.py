"""Compare dollars, tax, history, context, scores, visitors and their gold with plain Python, in any order of arrival.

A random shop over the turn of a year in which a tax changes: rates that come late or are corrected, customers who move or
arrive after their orders, orders that move or are cancelled, visitors who give one account or several.
"""

import json
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from ingestion.home import Home
from tests.pipeline import plain_orders, plain_visitors
from tests.pipeline.delivery import LINE, ORDER, RATE, Row, assert_repeats, land_lines, land_rows, pieces
from tests.pipeline.restated import build_and_compare
from warehouse.build import Request, build
from warehouse.lineage import read_gold

FIRST = date(2020, 12, 24)
DAYS = 16
NOW = datetime(2021, 2, 1, tzinfo=UTC)
CUSTOMER = ["customer_id", "email", "full_name", "country", "created_at", "updated_at"]
PRODUCT = ["product_id", "name", "category", "unit_price", "currency", "stock_quantity", "updated_at"]
COLUMNS = {"orders": ORDER, "order_items": LINE, "customers": CUSTOMER, "products": PRODUCT, "exchange_rates": RATE}
LANDED = datetime(2021, 1, 20, tzinfo=UTC)


# --- a shop ----------------------------------------------------------------------------------------------------------


def at(day: date, seconds: int = 0) -> str:
    return (datetime.combine(day, datetime.min.time(), UTC) + timedelta(seconds=seconds)).isoformat(sep=" ")


def make_shop(seed: int) -> dict[str, list[Row]]:
    pick = random.Random(seed)
    day = [FIRST + timedelta(days=n) for n in range(DAYS)]
    customers = []
    for number in range(6):
        created = at(pick.choice([date(2019, 5, 1), day[2], day[5]]), pick.randrange(86_400))
        versions = [created, *sorted(at(pick.choice(day), pick.randrange(86_400)) for _ in range(pick.randrange(3)))]
        customers += [
            dict(
                zip(
                    CUSTOMER,
                    [f"c{number}", "e", "n", pick.choice(["DE", "JP", "", None]), created, version],
                    strict=True,
                )
            )
            for version in sorted({version for version in versions if version >= created})
        ]
    products = [
        dict(
            zip(
                PRODUCT,
                [f"p{number}", "name", "cups", "2.5000", "EUR", str(pick.randrange(50)), at(pick.choice(day), n)],
                strict=True,
            )
        )
        for number in range(4)
        for n in range(pick.randint(1, 2))
    ]
    orders, lines = [], []
    for number in range(40):
        customer = pick.choice([None, "", "c0", "c0", "c0", "c1", "c1", "c2", "c3", "c4", "c5", "unknown"])
        # c0 orders often, on a few days
        placed = at(pick.choice(day[5:8] if customer == "c0" else day), pick.randrange(86_400))
        currency, country = (
            pick.choice(["EUR", "USD", "JPY", "KWD", "GBP"]),
            pick.choice(["DE", "JP", "KW", "XX", None]),
        )
        for version in range(pick.randint(1, 2)):
            if version and pick.random() < 0.4:
                placed = at(pick.choice(day), pick.randrange(86_400))
            status = pick.choice(["paid", "paid", "paid", "cancelled"])
            updated = at(day[-1] + timedelta(days=2), version)
            values = [f"o{number:02}", customer, status, currency, None, country, "1.00", placed, updated]
            orders.append(dict(zip(ORDER, values, strict=True)))
        for line_number in range(1, pick.randint(2, 5)):
            price = (
                f"{pick.randrange(1, 90000) / 100:.2f}" if pick.random() < 0.8 else f"{pick.randrange(1, 99999)}.0005"
            )
            values = [
                *(f"o{number:02}", str(line_number), pick.choice(["p0", "p1", "p2", "p9", "", None])),
                *(str(pick.choice([1, 2, 3, -1])), price, pick.choice([None, "0.0500"]), at(day[-1])),
            ]
            lines.append(dict(zip(LINE, values, strict=True)))
    rates = []
    for one in [FIRST - timedelta(days=n) for n in range(4)] + day:
        for currency in ("USD", "JPY", "GBP"):
            # no rates on weekends and holidays, and sometimes a gap that is too long
            if one.weekday() < 5 and pick.random() < 0.7:
                value = {"USD": "1.2281", "JPY": "126.49", "GBP": "0.89903"}[currency]
                rates.append(dict(zip(RATE, [str(one), currency, value, at(one, 57600)], strict=True)))
                if pick.random() < 0.2:
                    rates.append(rates[-1] | {"rate": value + "7", "updated_at": at(one + timedelta(days=3))})
    return {
        "customers": customers,
        "products": products,
        "orders": orders,
        "order_items": lines,
        "exchange_rates": rates,
    }


def make_events(seed: int) -> list[dict]:
    """Make events of returning visitors, some over midnight: accounts, searches, purchases, and times on window edges."""
    pick = random.Random(seed)
    times: list[tuple[str, datetime]] = []
    for visitor in range(9):
        at = datetime.combine(FIRST, datetime.min.time()) + timedelta(minutes=5 * pick.randrange(2500))
        for _ in range(pick.randint(5, 30)):
            times.append((f"v{visitor}", at))
            at += timedelta(seconds=pick.choice([0, 60, 299, 300, 1799, 1800, 1801, 3600, 86_400, 7 * 86_400]))
    end = datetime.combine(FIRST + timedelta(days=DAYS), datetime.min.time())
    accounts = {
        "v0": ["c0"],
        "v1": ["c0", "c1", "c2", "c3"],
        "v2": ["c1", "c4"],
        "v3": ["c5"],
        "v4": ["c0", "c2", "c5"],
    }
    return [
        {
            "event_id": f"e{number:04}",
            "event_type": (kind := pick.choice([*plain_visitors.KINDS, "search", "click", "purchase"])),
            "event_time": at.isoformat() + "Z",
            "visitor_id": visitor,
            "customer_id": pick.choice([None, "", *accounts.get(visitor, [])]),
            "product_id": pick.choice([None, "", "p0", "p1", "p9"]),
            "search_query": pick.choice(["Cup", "  red\tCUP ", "cre\u0300me", "cr\u00e8me", " ", None])
            if kind == "search"
            else None,
            "campaign": pick.choice([None, None, "", "spring", "sale"]),
            "order_id": pick.choice([None, "", "o99", *(f"o{n:02}" for n in range(40))])
            if kind == "purchase"
            else None,
            "country": pick.choice(["DE", "", None]),
        }
        for number, (visitor, at) in enumerate(times)
        if at < end
    ]


def deliver(root: Path, shop: dict[str, list[Row]], events: list[dict], seed: int) -> Home:
    """Land the shop in pieces, in random order, and build in between."""
    pick = random.Random(seed)
    home = Home(root, root / "landing")
    work = [
        (dataset, part) for dataset, rows in (shop | {"clickstream": events}).items() for part in pieces(pick, rows)
    ]
    stops = set(pick.sample(range(1, len(work)), 2))
    for number, (dataset, part) in enumerate(pick.sample(work, len(work))):
        if number in stops:
            build(home, Request(), NOW + timedelta(minutes=number))
        if dataset == "clickstream":
            land_lines(home, LANDED + timedelta(hours=number), [json.dumps(event) for event in part], NOW)
        else:
            land_rows(home, dataset, COLUMNS[dataset], part, NOW)
    build_and_compare(home, Request(), NOW + timedelta(minutes=99))
    return home


def expected(shop: dict[str, list[Row]], events: list[dict]) -> dict[str, list[tuple]]:
    # an empty name counts as missing
    shop = {
        dataset: [{name: value or None for name, value in row.items()} for row in rows]
        for dataset, rows in shop.items()
    }
    events = [{name: value or None for name, value in event.items()} for event in events]
    orders = plain_orders.compute_orders(shop)
    context = plain_orders.compute_context(shop, orders)
    times = plain_orders.compute_times_usual(orders)
    accounts = {order.order_id: plain_visitors.accounts_on_visitors(order, events) for order in orders}
    scores = {
        order.order_id: plain_orders.compute_score(
            order, context[order.order_id], accounts[order.order_id], times[order.order_id]
        )
        for order in orders
    }
    products = plain_orders.compute_products(shop, orders, plain_visitors.count_products(events))
    return {
        "lines": sorted(
            (order.order_id, line.number, line.usd, line.tax, line.tax_usd) for order in orders for line in order.lines
        ),
        "context": sorted((name, *one.values()) for name, one in context.items()),
        "features": sorted(
            (order.order_id, accounts[order.order_id], order.ordered_usd, times[order.order_id]) for order in orders
        ),
        "scores": sorted((name, score, reasons) for name, (score, reasons) in scores.items()),
        "order_risk": sorted((name,) for name, (score, _) in scores.items() if score >= 50),
        "visitor_accounts": plain_visitors.compute_accounts(events),
        "linked_sessions": plain_visitors.compute_links(events),
        "purchases": plain_visitors.compute_purchases(events),
        "daily_revenue": plain_orders.compute_revenue(orders, hours=False),
        "hourly_revenue": plain_orders.compute_revenue(orders, hours=True),
        "customers": plain_orders.compute_customers(shop, orders),
        "customer_standing": plain_orders.compute_standing(plain_orders.compute_customers(shop, orders)),
        "cohorts": plain_orders.compute_cohorts(orders),
        "daily_products": products,
        "product_search": plain_orders.compute_search_documents(shop, products),
        "daily_traffic": plain_visitors.compute_traffic(events),
        "daily_sessions": plain_visitors.compute_daily_sessions(events),
        "daily_funnel": plain_visitors.compute_funnel(events),
        "campaigns": plain_visitors.compute_campaigns(events, orders),
        "search_terms": plain_visitors.compute_searches(events),
        "last_hour": plain_visitors.compute_last_hour(events),
        "visitor_features": plain_visitors.latest_features(events),
    }


QUERIES = {
    "lines": "select order_id, line_number, line_amount_usd, tax_amount, tax_amount_usd from silver.order_items",
    "context": """
        select order_id, customer_country, account_age_days, earlier_orders, orders_last_day, lifetime_spend_usd, largest_earlier_usd
        from silver.order_context
    """,
    "features": "select order_id, visitor_accounts, ordered_usd, times_usual from silver.order_features",
    "scores": "select order_id, score, reasons from silver.order_scores",
    "order_risk": "select order_id from gold.order_risk",
    "customer_standing": "from silver.customer_standing",
    "visitor_accounts": "from silver.visitor_accounts",
    "linked_sessions": "select visitor_id, started_at, customer_id, is_linked_back from silver.linked_sessions",
    "purchases": "select purchased_at, event_id, visitor_id, order_id, touched_at, campaign from silver.purchases",
    "product_search": "select product_id, units_28_days, views_28_days, carts_28_days, document from gold.product_search",
}


def found(home: Home, names: list[str]) -> dict[str, list[tuple]]:
    with duckdb.connect(str(home.state), read_only=True) as state:
        rows = {name: state.sql(QUERIES.get(name, f"from gold.{name}")).fetchall() for name in names}
    rows["product_search"] = [(*row[:-1], json.loads(row[-1])) for row in rows["product_search"]]
    return {name: sorted(mine, key=str) for name, mine in rows.items()}


def assert_dashboards_answer(home: Home) -> None:
    with duckdb.connect(str(home.published), read_only=True) as published:
        for _, model in read_gold():
            assert published.sql(model["config"]["meta"]["dashboard"]).fetchall(), model["name"]


def assert_means(home: Home, wanted: dict[str, list[tuple]]) -> None:
    there = found(home, list(wanted))
    for name, rows in wanted.items():
        assert there[name] == sorted(rows, key=str), name


def check(seed: int, root: Path) -> None:
    shop, events = make_shop(seed), make_events(seed)
    wanted = expected(shop, events)
    assert all(wanted.values())
    assert {model["name"].removeprefix("gold_") for _, model in read_gold()} <= set(wanted)
    home = deliver(root, shop, events, seed)
    assert_means(home, wanted)
    assert_dashboards_answer(home)
    assert_repeats(home, NOW + timedelta(days=1))


def test_a_shop_means_what_plain_python_says(tmp_path: Path) -> None:
    check(4, tmp_path)
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as state:
        fired = state.sql("select distinct unnest(reasons) from silver.order_scores").fetchall()
    assert {name for (name,) in fired} == set(plain_orders.RULES), "every rule of the fraud score fires"


def test_a_rate_that_comes_late_restates_and_is_named(tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path / "landing")
    placed = at(FIRST, 60)
    land_rows(
        home,
        "orders",
        ORDER,
        [dict(zip(ORDER, ["o1", None, "paid", "EUR", *[None] * 3, placed, placed], strict=True))],
        NOW,
    )
    land_rows(
        home, "order_items", LINE, [dict(zip(LINE, ["o1", "1", "p0", "2", "3.50", None, placed], strict=True))], NOW
    )
    build(home, Request(), NOW)
    quoted = FIRST - timedelta(days=5)
    rates = land_rows(
        home, "exchange_rates", RATE, [dict(zip(RATE, [str(quoted), "USD", "1.2", placed], strict=True))], NOW
    )
    build(home, Request(), NOW + timedelta(minutes=1))
    with duckdb.connect(str(home.state), read_only=True) as state:
        lines = state.sql("select usd_rate_date, line_amount_usd from silver.order_items").fetchall()
        restated = state.sql("""
            select measure, value_before, value_after, batch_ids from ops.restatements
            where gold_table = 'daily_revenue' and measure like '%usd'
        """).fetchall()
    assert lines == [(quoted, Decimal("8.4000"))]
    assert sorted(restated) == [
        ("lines_without_usd", Decimal(1), Decimal(0), [rates]),
        ("net_usd", None, Decimal("8.4"), [rates]),
    ]


def test_the_largest_amounts_and_odd_currencies_stop_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path / "landing")
    placed = at(FIRST, 60)
    orders = [
        dict(zip(ORDER, [f"o{number}", None, "paid", currency, None, "DE", None, placed, placed], strict=True))
        for number, currency in enumerate(["EUR", "EUR", "EURO", "EUR"])
    ]
    lines = [
        dict(zip(LINE, [f"o{number}", "1", "p0", quantity, price, None, placed], strict=True))
        for number, (quantity, price) in enumerate(
            [
                ("2147483647", "99999999999999.9999"),
                ("2147483647", "99999999999999.9999"),
                ("-2147483648", "-99999999999999.9999"),
                ("2147483648", "1"),
            ]
        )
    ]
    rates = [dict(zip(RATE, [str(FIRST), "USD", "10000000", placed], strict=True))]
    for dataset, rows in {"orders": orders, "order_items": lines, "exchange_rates": rates}.items():
        land_rows(home, dataset, COLUMNS[dataset], rows, NOW)
    build(home, Request(), NOW)
    with duckdb.connect(str(home.state), read_only=True) as state:
        found = state.sql(
            "select currency, units, net_amount, net_usd from gold.daily_revenue order by currency"
        ).fetchall()
        refused = state.sql(
            "select json_extract_string(raw, '$.order_id'), reasons from silver.dead_letters"
        ).fetchall()
    most = Decimal("99999999999999.9999")
    assert found == [
        ("EUR", 2 * 2147483647, 2 * 2147483647 * most, None),
        ("EURO", -2147483648, 2147483648 * most, None),
    ]
    assert refused == [("o3", ["out_of_range:quantity"])]


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 1, 3, 5, 7])
def test_other_shops_do_too(tmp_path: Path, seed: int) -> None:
    check(seed, tmp_path)
