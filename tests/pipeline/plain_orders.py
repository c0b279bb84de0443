"""Compute in plain Python what orders mean: dollars, tax, context, scores and the gold tables of orders.

Nothing in `warehouse/` or `dbt_project/` is used except the seeds, which are data.
"""

import csv
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from ingestion.contract import PROJECT
from tests.pipeline.delivery import Row

ZERO = Decimal("0.0000")


def rounded(value: Fraction, places: int = 4) -> Decimal:
    """Round exactly, half to even."""
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
    row["rule"]: (int(row["weight"]), row["threshold"] and Decimal(row["threshold"]), int(row["condition"] or 0))
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

    @property
    def ordered_usd(self) -> Decimal | None:
        """Return the dollars ordered: lines with a positive quantity, whatever the order's status."""
        return total([line.usd for line in self.lines if line.quantity > 0])


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
            found[order.order_id] = dict.fromkeys(("country", "age", "earlier", "last_day", "spend", "largest"))
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
            "largest": max((one.ordered_usd for one in before if one.ordered_usd is not None), default=None),
        }
    return found


def compute_times_usual(orders: list[Order]) -> dict[str, int | None]:
    """Return each order's amount in usual orders; the usual order is the median of 28 daily medians before it."""
    by_day = defaultdict(list)
    for order in orders:
        if order.ordered_usd is not None and order.ordered_usd > 0:
            by_day[order.day].append(order.ordered_usd)

    def middle(amounts: list[Decimal]) -> Decimal:
        return sorted(amounts)[(len(amounts) - 1) // 2]

    found: dict[str, int | None] = {}
    for order in orders:
        days = [day for day in by_day if timedelta(0) < order.day - day <= timedelta(days=28)]
        days = days or [day for day in by_day if day == order.day]
        is_known = sum(len(by_day[day]) for day in days) >= 10
        if is_known and order.ordered_usd is not None and order.ordered_usd >= 0:
            found[order.order_id] = min(
                int(order.ordered_usd // middle([middle(by_day[day]) for day in days])), 1_000_000
            )
        else:
            found[order.order_id] = None
    return found


def compute_score(order: Order, known: dict, visitor_accounts: int, times_usual: int | None) -> tuple[int, list[str]]:
    fired = []
    _, times, largest_times = RULES["amount_over_shop"]
    is_over_shop = (
        times_usual is not None
        and times_usual >= times
        and order.ordered_usd >= largest_times * (known["largest"] or ZERO)
    )
    if order.customer_id is None:
        return (RULES["amount_over_shop"][0], ["amount_over_shop"]) if is_over_shop else (0, [])
    if known["last_day"] >= RULES["velocity"][1]:
        fired.append("velocity")
    if known["country"] and order.country != "ZZ" and known["country"] != order.country:
        fired.append("country_mismatch")
    if (
        known["earlier"] >= RULES["amount_over_history"][2]
        and known["spend"] > 0
        and order.usd * known["earlier"] >= RULES["amount_over_history"][1] * known["spend"]
    ):
        fired.append("amount_over_history")
    _, least, days = RULES["new_account_high_value"]
    if known["age"] is not None and 0 <= known["age"] < days and order.usd >= least:
        fired.append("new_account_high_value")
    if visitor_accounts >= RULES["shared_visitor"][1]:
        fired.append("shared_visitor")
    if is_over_shop:
        fired.append("amount_over_shop")
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


def compute_standing(customers: list[tuple]) -> list[tuple]:
    """Return the standing of each customer of `compute_customers`, such as loyal or lost."""
    rows = []
    for name, _, _, _, count, *_, r, f, m, _, risk in customers:
        if risk != "low":
            standing = {"high": "lost", "medium": "at risk"}[risk]
        elif min(r, f, m) >= 4:
            standing = "champion"
        elif f >= 4:
            standing = "loyal"
        else:
            standing = "new" if count == 1 and r >= 4 else "regular"
        rows.append((name, standing))
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


def compute_products(
    shop: dict[str, list[Row]], orders: list[Order], looked_at: dict[tuple[date, str], tuple[int, int]]
) -> list[tuple]:
    cells: dict[tuple[date, str], list[Line]] = defaultdict(list, {cell: [] for cell in looked_at})
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
        views, carts = looked_at.get((day, product), (0, 0))
        rows.append(
            (
                *(day, product, len({line.order.order_id for line in lines}), sum(line.quantity for line in lines)),
                *(-sum(line.quantity for line in lines if line.quantity < 0), total([line.usd for line in lines])),
                *(sum(line.usd is None for line in lines), views, carts),
                *(rounded(Fraction(carts, views)) if views else None, recent, stock),
                rounded(Fraction(stock * 28, recent)) if recent and stock is not None else None,
            )
        )
    return sorted(rows, key=str)


def compute_search_documents(shop: dict[str, list[Row]], products: list[tuple]) -> list[tuple]:
    """Return each product as it is now, with its units, views and carts over the 28 days up to the latest date."""
    since = max(day for day, *_ in products) - timedelta(days=27)
    rows = []
    for row in latest(shop["products"], "product_id"):
        recent = [one for one in products if one[1] == row["product_id"] and one[0] >= since]
        units, views, carts = (sum(one[place] for one in recent) for place in (3, 7, 8))
        document = {
            "id": row["product_id"],
            "title": row["name"],
            "category": row["category"],
            "price": row["unit_price"],
            "currency": row["currency"],
            "is_in_stock": int(row["stock_quantity"]) > 0,
            "units_28_days": units,
            "views_28_days": views,
            "carts_28_days": carts,
        }
        rows.append((row["product_id"], units, views, carts, document))
    return sorted(rows)
