"""Dollars, tax, history, context, scores and the gold of orders, held against plain Python, in whatever order things come.

A random shop over the turn of a year in which a tax changes: rates that come late or are corrected, customers who move or
arrive after their orders, orders that move or are cancelled. Nothing of `warehouse/` or `dbt_project/` is used to compute
what should come out, but the seeds, which are data.
"""

import csv
import random
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import duckdb
import pytest

from ingestion.contract import PROJECT
from ingestion.home import Home
from operations import hashes, ledger
from tests.pipeline.test_any_order import LINE, ORDER, Row, land_rows, pieces
from warehouse.build import Request, build

FIRST = date(2020, 12, 24)
DAYS = 16
NOW = datetime(2021, 2, 1, tzinfo=UTC)
CUSTOMER = ["customer_id", "email", "full_name", "country", "created_at", "updated_at"]
PRODUCT = ["product_id", "name", "category", "unit_price", "currency", "stock_quantity", "updated_at"]
RATE = ["rate_date", "currency", "rate", "updated_at"]
COLUMNS = {"orders": ORDER, "order_items": LINE, "customers": CUSTOMER, "products": PRODUCT, "exchange_rates": RATE}
ZERO = Decimal("0.0000")


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
                zip(CUSTOMER, [f"c{number}", "e", "n", pick.choice(["DE", "JP", None]), created, version], strict=True)
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
        placed = at(pick.choice(day), pick.randrange(86_400))
        currency, country = (
            pick.choice(["EUR", "USD", "JPY", "KWD", "GBP"]),
            pick.choice(["DE", "JP", "KW", "XX", None]),
        )
        customer = pick.choice([None, "c0", "c0", "c0", "c1", "c1", "c2", "c3", "c4", "c5", "unknown"])
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
                *(f"o{number:02}", str(line_number), pick.choice(["p0", "p1", "p2", "p9", None])),
                *(str(pick.choice([1, 2, 3, -1])), price, pick.choice([None, "0.0500"]), at(day[-1])),
            ]
            lines.append(dict(zip(LINE, values, strict=True)))
    rates = []
    for one in [FIRST - timedelta(days=n) for n in range(4)] + day:
        for currency in ("USD", "JPY", "GBP"):
            # weekends and holidays have none, and now and then there is a gap that is too long
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


def deliver(root: Path, shop: dict[str, list[Row]], seed: int) -> Home:
    """Land the shop in pieces, in some order, and build in between."""
    pick = random.Random(seed)
    home = Home(root, root / "landing")
    work = [(dataset, part) for dataset, rows in shop.items() for part in pieces(pick, rows)]
    stops = set(pick.sample(range(1, len(work)), 2))
    for number, (dataset, part) in enumerate(pick.sample(work, len(work))):
        if number in stops:
            build(home, Request(), NOW + timedelta(minutes=number))
        land_rows(home, dataset, COLUMNS[dataset], part, NOW)
    build(home, Request(), NOW + timedelta(minutes=99))
    return home


# --- the same, in plain Python ---------------------------------------------------------------------------------------


def rounded(value: Fraction, places: int = 4) -> Decimal:
    """Round exactly, a half to the even neighbour."""
    scaled = value * 10**places
    floor = scaled.numerator // scaled.denominator
    rest = scaled - floor
    if rest > Fraction(1, 2) or (rest == Fraction(1, 2) and floor % 2):
        floor += 1
    return Decimal(floor).scaleb(-places).quantize(Decimal("0.0001"))


def seed_rows(name: str) -> list[dict[str, str]]:
    with (PROJECT / "seeds" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


TAX = [
    (
        row["country"],
        date.fromisoformat(row["valid_from"]),
        date.fromisoformat(row["valid_to"] or "9999-12-31"),
        row["tax_rate"],
    )
    for row in seed_rows("tax_rates")
]
MINOR = {row["currency"]: int(row["minor_units"]) for row in seed_rows("currencies")}
RULES = {
    row["rule"]: (int(row["weight"]), row["threshold"] and Decimal(row["threshold"]))
    for row in seed_rows("fraud_rules")
}


@dataclass
class Line:
    order: "Order"
    number: int
    product_id: str | None
    quantity: int
    amount: Decimal
    usd: Decimal | None = None
    tax: Decimal | None = None
    tax_usd: Decimal | None = None


@dataclass
class Order:
    order_id: str
    customer_id: str | None
    is_open: bool
    currency: str
    country: str
    placed: datetime
    lines: list[Line]

    @property
    def day(self) -> date:
        return self.placed.date()

    @property
    def is_counted(self) -> bool:
        return self.is_open and bool(self.lines)

    @property
    def usd(self) -> Decimal:
        return sum((line.usd for line in self.lines if self.is_open and line.usd is not None), ZERO)


def latest(rows: list[Row], *key: str) -> list[Row]:
    return list(
        {tuple(row[name] for name in key): row for row in sorted(rows, key=lambda row: row["updated_at"])}.values()
    )


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)


def compute_orders(shop: dict[str, list[Row]]) -> list[Order]:
    quotes: dict[date, dict[str, Fraction]] = defaultdict(dict)
    for row in latest(shop["exchange_rates"], "rate_date", "currency"):
        quotes[date.fromisoformat(row["rate_date"])][row["currency"]] = Fraction(row["rate"])
    orders = {
        row["order_id"]: Order(
            row["order_id"],
            row["customer_id"],
            row["status"] != "cancelled",
            row["currency"],
            row["shipping_country"] or "ZZ",
            moment(row["ordered_at"]),
            [],
        )
        for row in latest(shop["orders"], "order_id")
    }
    for row in latest(shop["order_items"], "order_id", "line_number"):
        amount = int(row["quantity"]) * Decimal(row["unit_price"]) - Decimal(row["discount_amount"] or 0)
        order = orders[row["order_id"]]
        order.lines.append(Line(order, int(row["line_number"]), row["product_id"], int(row["quantity"]), amount))
    for order in orders.values():
        order.lines.sort(key=lambda line: line.number)
        rate = dollars_for(order, quotes)
        for line in order.lines:
            line.usd = rate and rounded(Fraction(line.amount) * rate)
        tax_lines(order)
        for line in order.lines:
            line.tax_usd = rounded(Fraction(line.tax) * rate) if rate and line.tax is not None else None
    return list(orders.values())


def dollars_for(order: Order, quotes: dict[date, dict[str, Fraction]]) -> Fraction | None:
    if order.currency == "USD":
        return Fraction(1)
    for back in range(6):
        quoted = quotes.get(order.day - timedelta(days=back), {})
        if "USD" in quoted and (order.currency == "EUR" or order.currency in quoted):
            return quoted["USD"] / quoted.get(order.currency, Fraction(1))
    return None


def tax_lines(order: Order) -> None:
    rates = [rate for country, start, end, rate in TAX if country == order.country and start <= order.day < end]
    if not rates or order.currency not in MINOR:
        return
    places = MINOR[order.currency]
    exact = [Fraction(line.amount) * Fraction(rates[0]) * 10**places for line in order.lines]
    floors = [one.numerator // one.denominator for one in exact]
    total = rounded(sum(exact, Fraction(0)) / 10**places, places)
    left = int(total.scaleb(places)) - sum(floors)
    by_rest = sorted(range(len(exact)), key=lambda n: (floors[n] - exact[n], order.lines[n].number))
    for place, n in enumerate(by_rest):
        order.lines[n].tax = Decimal(floors[n] + (place < left)).scaleb(-places).quantize(Decimal("0.0001"))
    assert sum(line.tax for line in order.lines) == total


def compute_context(shop: dict[str, list[Row]], orders: list[Order]) -> dict[str, dict]:
    history = defaultdict(list)
    for row in sorted(latest(shop["customers"], "customer_id", "updated_at"), key=lambda row: row["updated_at"]):
        known = history[row["customer_id"]]
        start = moment(row["updated_at"]) if known else min(moment(row["created_at"]), moment(row["updated_at"]))
        known.append((start, row["country"], moment(row["created_at"])))
    found = {}
    for order in orders:
        if order.customer_id is None:
            found[order.order_id] = dict.fromkeys(("country", "age", "earlier", "last_day", "spend"))
            continue
        before = [
            one
            for one in orders
            if one.customer_id == order.customer_id and (one.placed, one.order_id) < (order.placed, order.order_id)
        ]
        valid = [version for version in history[order.customer_id] if version[0] <= order.placed]
        found[order.order_id] = {
            "country": valid[-1][1] if valid else None,
            "age": (order.day - valid[-1][2].date()).days if valid else None,
            "earlier": sum(one.is_counted for one in before),
            "last_day": sum(one.placed > order.placed - timedelta(days=1) for one in before),
            "spend": sum((one.usd for one in before), ZERO),
        }
    return found


def compute_score(order: Order, known: dict) -> tuple[int, list[str]]:
    if order.customer_id is None:
        return 0, []
    fired = []
    if known["last_day"] >= RULES["velocity"][1]:
        fired.append("velocity")
    if known["country"] and order.country != "ZZ" and known["country"] != order.country:
        fired.append("country_mismatch")
    if (
        known["earlier"] >= 3
        and known["spend"] > 0
        and order.usd * known["earlier"] >= RULES["amount_over_history"][1] * known["spend"]
    ):
        fired.append("amount_over_history")
    if known["age"] is not None and 0 <= known["age"] < 7 and order.usd >= RULES["new_account_high_value"][1]:
        fired.append("new_account_high_value")
    return min(100, sum(RULES[rule][0] for rule in fired)), fired


def total(values: list[Decimal | None]) -> Decimal | None:
    there = [value for value in values if value is not None]
    return sum(there, ZERO) if there else None


def compute_revenue(orders: list[Order], hours: bool) -> list[tuple]:
    cells = defaultdict(list)
    for order in orders:
        for line in order.lines if order.is_open else []:
            when = order.placed.replace(minute=0, second=0) if hours else order.day
            cells[when, order.country, order.currency].append(line)
    unit = timedelta(hours=1) if hours else timedelta(days=1)
    rows = []
    for (when, country, currency), lines in cells.items():
        sold = sum((line.amount for line in lines if line.quantity > 0), ZERO)
        back = -sum((line.amount for line in lines if line.quantity < 0), ZERO)
        means = [
            rounded(
                Fraction(
                    sum(
                        line.amount
                        for (other, *rest), others in cells.items()
                        if rest == [country, currency] and when - (length - 1) * unit <= other <= when
                        for line in others
                    )
                )
                / length
            )
            for length in ((24, 168) if hours else (7, 28))
        ]
        rows.append(
            (
                *(when, country, currency, len({line.order.order_id for line in lines})),
                *(sum(line.quantity for line in lines), sold, back, sold - back),
                *(total([line.usd for line in lines]), sum(line.usd is None for line in lines)),
                *(total([line.tax for line in lines]), total([line.tax_usd for line in lines])),
                *(sum(line.tax is None for line in lines), *means),
            )
        )
    return sorted(rows)


def compute_customers(shop: dict[str, list[Row]], orders: list[Order]) -> list[tuple]:
    by_customer = defaultdict(list)
    for order in orders:
        if order.customer_id and order.is_counted:
            by_customer[order.customer_id].append(order)
    as_of = max(order.day for mine in by_customer.values() for order in mine)
    values = {
        name: ((as_of - max(one.day for one in mine)).days, len(mine), sum((one.usd for one in mine), ZERO))
        for name, mine in by_customer.items()
    }
    countries = {row["customer_id"]: row["country"] for row in latest(shop["customers"], "customer_id")}

    def score(name: str, place: int) -> int:
        worse = [
            one
            for one in values.values()
            if (one[place] > values[name][place] if place == 0 else one[place] < values[name][place])
        ]
        return 1 + 5 * len(worse) // len(values)

    rows = []
    for name, mine in by_customer.items():
        first, last = min(one.day for one in mine), max(one.day for one in mine)
        recency, count, value = values[name]
        r, f, m = (score(name, place) for place in range(3))
        kind = "regular"
        if r >= 4 and f >= 4 and m >= 4:
            kind = "champion"
        elif r >= 3 and f >= 4:
            kind = "loyal"
        elif r >= 4 and count == 1:
            kind = "new"
        elif r <= 2:
            kind = "at risk" if f >= 3 else "lost"
        usual = Fraction(max((last - first).days, 1), count - 1) if count > 1 else Fraction(90)
        risk = "high" if recency > 3 * usual else "medium" if recency > 2 * usual else "low"
        missing = sum(any(line.usd is None for line in one.lines) for one in mine)
        rows.append(
            (name, countries.get(name), first, last, count, value, missing, as_of, recency, r, f, m, kind, risk)
        )
    return sorted(rows)


def compute_cohorts(orders: list[Order]) -> list[tuple]:
    mine = [order for order in orders if order.customer_id and order.is_counted]
    first = {}
    for order in sorted(mine, key=lambda one: one.placed):
        first.setdefault(order.customer_id, order.day.replace(day=1))
    cells = defaultdict(list)
    for order in mine:
        start = first[order.customer_id]
        cells[start, (order.day.year - start.year) * 12 + order.day.month - start.month].append(order)
    return sorted(
        (
            *(start, months, sum(month == start for month in first.values()), len({one.customer_id for one in cell})),
            *(len(cell), sum((one.usd for one in cell), ZERO)),
        )
        for (start, months), cell in cells.items()
    )


def compute_products(shop: dict[str, list[Row]], orders: list[Order]) -> list[tuple]:
    cells = defaultdict(list)
    for order in orders:
        for line in order.lines if order.is_open else []:
            if line.product_id:
                cells[order.day, line.product_id].append(line)
    rows = []
    for (day, product), lines in cells.items():
        recent = sum(
            line.quantity
            for (other, name), others in cells.items()
            if name == product and day - timedelta(days=27) <= other <= day
            for line in others
            if line.quantity > 0
        )
        midnight = datetime.combine(day + timedelta(days=1), datetime.min.time())
        versions = sorted(
            (moment(row["updated_at"]), int(row["stock_quantity"]))
            for row in shop["products"]
            if row["product_id"] == product and moment(row["updated_at"]) < midnight
        )
        stock = versions[-1][1] if versions else None
        rows.append(
            (
                *(day, product, len({line.order.order_id for line in lines}), sum(line.quantity for line in lines)),
                *(-sum(line.quantity for line in lines if line.quantity < 0), total([line.usd for line in lines])),
                *(sum(line.usd is None for line in lines), 0, 0, None, recent, stock),
                rounded(Fraction(stock * 28, recent)) if recent and stock is not None else None,
            )
        )
    return sorted(rows)


# --- both ------------------------------------------------------------------------------------------------------------


def expected(shop: dict[str, list[Row]]) -> dict[str, list[tuple]]:
    orders = compute_orders(shop)
    context = compute_context(shop, orders)
    scores = {order.order_id: compute_score(order, context[order.order_id]) for order in orders}
    return {
        "lines": sorted(
            (order.order_id, line.number, line.usd, line.tax, line.tax_usd) for order in orders for line in order.lines
        ),
        "context": sorted((name, *one.values()) for name, one in context.items()),
        "scores": sorted((name, score, reasons) for name, (score, reasons) in scores.items()),
        "order_risk": sorted(name for name, (score, _) in scores.items() if score >= 50),
        "daily_revenue": compute_revenue(orders, hours=False),
        "hourly_revenue": compute_revenue(orders, hours=True),
        "customers": compute_customers(shop, orders),
        "cohorts": compute_cohorts(orders),
        "daily_products": compute_products(shop, orders),
    }


def found(home: Home) -> dict[str, list[tuple]]:
    with duckdb.connect(str(home.state), read_only=True) as state:
        ask = lambda query: sorted(state.sql(query).fetchall())  # noqa: E731
        return {
            "lines": ask(
                "select order_id, line_number, line_amount_usd, tax_amount, tax_amount_usd from silver.order_items"
            ),
            "context": ask("""
                select order_id, customer_country, account_age_days, earlier_orders, orders_last_day, lifetime_spend_usd
                from silver.order_context
            """),
            "scores": ask("select order_id, score, reasons from silver.order_scores"),
            "order_risk": [name for (name,) in ask("select order_id from gold.order_risk")],
            **{
                table: ask(f"from gold.{table}")
                for table in ("daily_revenue", "hourly_revenue", "customers", "cohorts", "daily_products")
            },
        }


def check(seed: int, root: Path) -> None:
    shop = make_shop(seed)
    wanted = expected(shop)
    home = deliver(root / "one", shop, seed)
    there = found(home)
    for name, rows in wanted.items():
        assert there[name] == rows, name
    assert ledger.recount(home) == ([], True)
    before = hashes.read(home)
    build(home, Request(full=True, reason="test"), NOW + timedelta(days=1))
    assert hashes.read(home) == before


def test_a_shop_means_what_plain_python_says(tmp_path: Path) -> None:
    check(20201224, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_other_shops_do_too(tmp_path: Path, seed: int) -> None:
    check(seed, tmp_path)
