"""Make silver and some of the gold tables with pandas.

python -m bench.peers.with_pandas LANDING DATABASE_URL RATES FROM TO OUT.duckdb

Lines are parsed one by one with orjson, as a broken one must not stop the others; all else is vectorised. Money is counted
in whole ten-thousandths, in 64 bits.
"""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.by_hand import landing
from bench.by_hand.clicks import EMPTY_IS_MISSING, EVENT_TYPES
from bench.by_hand.columns import CLICK
from bench.by_hand.job import FUTURE, Job, read_job
from bench.peers import common
from bench.peers.tables import DAILY_MEANS, HOURLY_MEANS

KINDS = pd.CategoricalDtype(EVENT_TYPES)


def main() -> None:
    """Read the arguments, and make the tables."""
    job = read_job(__doc__)
    common.begin(job)
    landing.land(job)
    clicks = keep_clicks(job)
    sessions = make_sessions(job, clicks)
    lines = make_lines(job)
    tables = {
        "daily_revenue": revenue(lines, "order_date", DAILY_MEANS, "D"),
        "hourly_revenue": revenue(
            lines.assign(order_hour=lines["ordered_at"].dt.floor("h")), "order_hour", HOURLY_MEANS, "h"
        ),
        "daily_products": products(job, lines, clicks),
        "daily_traffic": traffic(clicks),
        "daily_sessions": daily_sessions(sessions),
        "daily_funnel": funnel(sessions),
    }
    common.write_gold(job, {name: pa.Table.from_pandas(table, preserve_index=False) for name, table in tables.items()})


def keep_clicks(job: Job) -> pd.DataFrame:
    """Write the valid clicks, one for each id and date; return the columns that gold needs."""
    clicks = pd.concat((parse(path, job) for path in sorted(job.lines.iterdir())), ignore_index=True)
    clicks = clicks.drop_duplicates(["event_id", "event_date"])
    clicks.to_parquet(job.work / "silver_clickstream.parquet", index=False)
    names = ["visitor_id", "event_time", "event_id", "event_date", "event_type", "country", "campaign", "customer_id"]
    return clicks[[*names, "product_id"]]


def parse(path: Path, job: Job) -> pd.DataFrame:
    """Return the valid clicks of a file of lines, typed."""
    lines = pq.read_table(path, columns=["raw"])["raw"].drop_null()
    clicks = pd.DataFrame.from_records(list(objects(lines.to_pylist())), columns=list(CLICK))
    texts = [name for name in CLICK if name not in ("properties", "quantity", "unit_price")]
    clicks[texts] = clicks[texts].astype("str")
    clicks["properties"] = [orjson.dumps(value).decode() for value in clicks["properties"]]
    clicks["event_time"] = utc(clicks["event_time"])
    quantity = pd.to_numeric(clicks["quantity"], errors="coerce")
    quantity = quantity.where(quantity % 1 == 0).astype("Int64")
    unit_price = units(clicks["unit_price"].astype("str"))
    is_valid = (
        clicks["event_id"].ne("")
        & clicks["event_id"].notna()
        & clicks["event_type"].isin(EVENT_TYPES)
        & clicks["visitor_id"].ne("")
        & clicks["visitor_id"].notna()
        & clicks["event_time"].le((job.now + FUTURE).replace(tzinfo=None))
        & (clicks["quantity"].isna() | quantity.ne(0).fillna(False))
        & (clicks["unit_price"].isna() | unit_price.notna())
    )
    clicks = clicks.assign(quantity=quantity, unit_price=unit_price)[is_valid]
    names = list(EMPTY_IS_MISSING)
    clicks[names] = clicks[names].mask(clicks[names].eq(""))
    return clicks.assign(event_type=clicks["event_type"].astype(KINDS), event_date=clicks["event_time"].dt.normalize())


def objects(lines: Iterable[str]) -> Iterable[dict]:
    """Yield the lines that are JSON objects."""
    for line in lines:
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict):
            yield value


def utc(text: pd.Series) -> pd.Series:
    """Return texts as times without zone; missing if they are none."""
    return pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce").dt.tz_localize(None).dt.as_unit("us")


def whole(text: pd.Series) -> pd.Series:
    return pd.to_numeric(text.where(text.str.match(common.WHOLE).fillna(False)), errors="coerce").astype("Int64")


def units(text: pd.Series, places: int = 4) -> pd.Series:
    """Return texts as whole numbers of their last place; missing if they are no decimal, or have more places."""
    pattern = common.DECIMAL_4 if places == 4 else common.DECIMAL_8
    amounts = pa.array(text.where(text.str.match(pattern).fillna(False)), pa.string()).cast(pa.decimal128(18, places))
    counted = pc.multiply(amounts, pa.scalar(10**places, pa.decimal128(9, 0))).cast(pa.int64())
    return pd.Series(counted.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get), index=text.index)


def empty_as_missing(text: pd.Series) -> pd.Series:
    return text.mask(text.eq(""))


def half_even(dividend: pd.Series, divisor: pd.Series | int) -> pd.Series:
    """Return the quotients of whole numbers, rounded half-even."""
    quotient, twice_rest = dividend.abs() // divisor, dividend.abs() % divisor * 2
    is_up = (twice_rest > divisor) | ((twice_rest == divisor) & (quotient % 2 == 1))
    return np.sign(dividend) * (quotient + is_up.astype("Int64"))


def make_lines(job: Job) -> pd.DataFrame:
    """Write the orders, and their lines with amounts, tax, and both in dollars; return the lines that count."""
    orders = pd.read_parquet(job.raw("orders"))
    orders = orders.assign(
        ordered_at=utc(orders["ordered_at"]),
        updated_at=utc(orders["updated_at"]),
        total_amount=units(orders["total_amount"]),
        customer_id=empty_as_missing(orders["customer_id"]),
        country=empty_as_missing(orders["shipping_country"].str.strip(" ")).fillna("ZZ"),
        is_counted=orders["status"].ne("cancelled"),
    )
    orders = orders[
        orders["order_id"].ne("")
        & orders["currency"].notna()
        & orders["currency"].ne("")
        & orders["ordered_at"].le((job.now + FUTURE).replace(tzinfo=None))
        & (orders["status"].isna() | orders["status"].isin(common.STATUSES))
    ]
    orders = orders.assign(order_date=orders["ordered_at"].dt.normalize())
    orders.to_parquet(job.work / "silver_orders.parquet", index=False)
    items = pd.read_parquet(job.raw("order_items"))
    discount = units(items["discount_amount"])
    is_read = items["discount_amount"].isna() | discount.notna()
    items = items.assign(
        line_number=whole(items["line_number"]),
        quantity=whole(items["quantity"]),
        unit_price=units(items["unit_price"]),
        discount_amount=discount.fillna(0),
        updated_at=utc(items["updated_at"]),
        product_id=empty_as_missing(items["product_id"]),
    )
    items = items[
        items["order_id"].ne("")
        & items["line_number"].notna()
        & (items["quantity"].ne(0) & items["quantity"].between(-(2**31), 2**31 - 1)).fillna(False)
        & items["unit_price"].notna()
        & is_read
    ]
    items = items.assign(amount=items["quantity"] * items["unit_price"] - items["discount_amount"])
    common.check_size(*items[["quantity", "unit_price"]].abs().max().fillna(0).astype(int))
    known = orders[["order_id", "ordered_at", "order_date", "country", "currency", "is_counted"]]
    lines = items.merge(known, on="order_id", how="left")
    lines = lines.merge(tax(lines), on=["order_id", "line_number"], how="left")
    lines = lines.merge(quotes(job, orders), on=["order_date", "currency"], how="left")
    largest = lines[["amount", "tax"]].abs().max().fillna(0).max()
    common.check_size(int(largest), max(int(lines["usd_quote"].fillna(0).max()), common.WHOLE_TAX))
    lines = lines.assign(
        usd=half_even(lines["amount"] * lines["usd_quote"], lines["quote"]),
        tax_usd=half_even(lines["tax"] * lines["usd_quote"], lines["quote"]),
    )
    lines.to_parquet(job.work / "silver_order_items.parquet", index=False)
    return lines[lines["is_counted"].eq(True)]


def tax(lines: pd.DataFrame) -> pd.DataFrame:
    """Return the tax of each line, in ten-thousandths but whole units of its currency.

    An order's tax is rounded once, half-even. Its lines get theirs rounded down, and those with the largest rests get
    what is left over.
    """
    rates = pd.read_csv(
        common.TAX_RATES, dtype="str", parse_dates=["valid_from", "valid_to"], keep_default_na=False, na_values=[""]
    )
    rates = rates.assign(rate=units(rates["tax_rate"]))[["country", "valid_from", "valid_to", "rate"]]
    currencies = pd.read_csv(common.CURRENCIES)
    currencies = currencies.assign(
        unit=10 ** (8 - currencies["minor_units"]).astype("Int64"),
        back=10 ** (4 - currencies["minor_units"]).astype("Int64"),
    )[["currency", "unit", "back"]]
    owed = lines.merge(rates, on="country").merge(currencies, on="currency")
    is_in_force = owed["order_date"].ge(owed["valid_from"]) & ~owed["order_date"].ge(owed["valid_to"])
    owed = owed[is_in_force]
    owed = owed.assign(owed=owed["amount"] * owed["rate"])
    owed = owed.assign(given=owed["owed"] // owed["unit"], rest=owed["owed"] % owed["unit"])
    orders = owed.groupby("order_id", as_index=False).agg(
        owed=("owed", "sum"), given=("given", "sum"), unit=("unit", "first")
    )
    orders = orders.assign(left_over=half_even(orders["owed"], orders["unit"]) - orders["given"])
    owed = owed.merge(orders[["order_id", "left_over"]], on="order_id").sort_values(
        ["order_id", "rest", "line_number"], ascending=[True, False, True]
    )
    is_more = owed.groupby("order_id").cumcount() < owed["left_over"]
    return owed.assign(tax=(owed["given"] + is_more.astype("Int64")) * owed["back"])[["order_id", "line_number", "tax"]]


def quotes(job: Job, orders: pd.DataFrame) -> pd.DataFrame:
    """Return the two quotes of a euro that turn an amount of an order's date and currency to dollars."""
    given = pd.read_parquet(job.raw("exchange_rates"))
    given = given.assign(
        rate_date=pd.to_datetime(given["rate_date"], format="%Y-%m-%d", errors="coerce").dt.as_unit("us"),
        quote=units(given["rate"], 8),
        updated_at=utc(given["updated_at"]),
    )
    given = given[
        given["rate_date"].le((job.now + FUTURE).replace(tzinfo=None))
        & given["currency"].ne("")
        & given["quote"].between(100, 10**15).fillna(False)
    ]
    given = given.sort_values("updated_at", na_position="first", kind="stable").drop_duplicates(
        ["rate_date", "currency"], keep="last"
    )[["rate_date", "currency", "quote"]]
    dollars = given[given["currency"].eq("USD")][["rate_date", "quote"]].rename(columns={"quote": "usd_quote"})
    euros = dollars[["rate_date"]].assign(currency="EUR", quote=10**8)
    others = pd.concat([given, euros]).merge(dollars, on="rate_date").sort_values("rate_date")
    wanted = orders[["order_date", "currency"]].drop_duplicates().sort_values("order_date")
    found = pd.merge_asof(
        wanted[wanted["currency"].ne("USD")],
        others,
        left_on="order_date",
        right_on="rate_date",
        by="currency",
        tolerance=pd.Timedelta(common.OLDEST_RATE),
    )
    same = wanted[wanted["currency"].eq("USD")].assign(quote=1, usd_quote=1)
    columns = ["order_date", "currency", "quote", "usd_quote"]
    return pd.concat([found[columns], same]).astype({"quote": "Int64", "usd_quote": "Int64"})


def make_sessions(job: Job, clicks: pd.DataFrame) -> pd.DataFrame:
    """Write the sessions, and return them. One that lasts for more than a day is cut at each midnight."""
    clicks = clicks.sort_values(["visitor_id", "event_time", "event_id"])
    is_first = clicks["visitor_id"].ne(clicks["visitor_id"].shift()) | clicks["event_time"].diff().gt(
        common.SESSION_GAP
    )
    clicks = clicks.assign(number=is_first.cumsum())
    found = sessions_of(clicks, ["number"])
    is_long = found["ended_at"] - found["started_at"] > common.LONGEST_SESSION
    whole_ones = found[~is_long].assign(is_cut=False)
    long = clicks[clicks["number"].isin(found.loc[is_long, "number"])]
    cut = [sessions_of(long, ["number", "event_date"]).assign(is_cut=True)] if len(long) else []
    sessions = pd.concat([whole_ones, *cut], ignore_index=True)
    sessions.to_parquet(job.work / "silver_sessions.parquet", index=False)
    return sessions


def sessions_of(clicks: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return a row for each value of `by`. Clicks are in order of time."""
    kinds = pd.get_dummies(clicks["event_type"]).add_suffix("_events").astype("int64")
    grouped = pd.concat([clicks, kinds], axis=1).groupby(by, sort=False, as_index=False)
    sessions = grouped.agg(
        visitor_id=("visitor_id", "first"),
        first_event_id=("event_id", "first"),
        started_at=("event_time", "first"),
        ended_at=("event_time", "last"),
        events=("event_id", "size"),
        country=("country", "first"),
        campaign=("campaign", "first"),
        customer_id=("customer_id", "first"),
        customers=("customer_id", "nunique"),
        **{name: (name, "sum") for name in kinds},
    )
    return sessions.assign(
        session_date=sessions["started_at"].dt.normalize(),
        customer_id=sessions["customer_id"].where(sessions["customers"].eq(1)),
    )


def revenue(lines: pd.DataFrame, at: str, means: dict[str, int], unit: str) -> pd.DataFrame:
    """Return the revenue per date or hour, country and currency, with its moving means."""
    parts = lines.assign(
        gross=lines["amount"].where(lines["quantity"].gt(0), 0),
        refunded=-lines["amount"].where(lines["quantity"].lt(0), 0),
        without_usd=lines["usd"].isna(),
        without_tax=lines["tax"].isna(),
    )
    grouped = parts.groupby([at, "country", "currency"])
    counted = grouped.agg(
        orders=("order_id", "nunique"),
        units=("quantity", "sum"),
        gross_amount=("gross", "sum"),
        refunded_amount=("refunded", "sum"),
        net_amount=("amount", "sum"),
        lines_without_usd=("without_usd", "sum"),
        lines_without_tax=("without_tax", "sum"),
    )
    # as in SQL, the sum of no value is missing
    sums = grouped[["usd", "tax", "tax_usd"]].sum(min_count=1)
    sums.columns = ["net_usd", "tax_amount", "tax_usd"]
    counted = counted.join(sums).reset_index()
    for name, length in means.items():
        counted[name] = half_even(
            window_sum(counted, "net_amount", ["country", "currency"], at, pd.Timedelta(length, unit)), length
        )
    return counted


def window_sum(rows: pd.DataFrame, value: str, by: list[str], at: str, length: timedelta) -> pd.Series:
    """Return the sum of a column over a time up to each row's own; `rolling` would sum in floating point. Rows are in order of time."""
    running = rows[[*by, at]].assign(total=rows.groupby(by)[value].cumsum())
    before = pd.merge_asof(running.assign(**{at: rows[at] - length}), running, on=at, by=by, suffixes=("", "_before"))
    return before["total"].sub(before["total_before"].fillna(0)).set_axis(rows.index)


def products(job: Job, lines: pd.DataFrame, clicks: pd.DataFrame) -> pd.DataFrame:
    """Return what was sold and looked at, per date and product."""
    by = ["activity_date", "product_id"]
    lines = lines.assign(
        activity_date=lines["order_date"],
        returned=-lines["quantity"].where(lines["quantity"].lt(0), 0),
        without_usd=lines["usd"].isna(),
    )
    sales = lines.groupby(by)
    sold = sales.agg(
        orders=("order_id", "nunique"),
        units=("quantity", "sum"),
        returned_units=("returned", "sum"),
        lines_without_usd=("without_usd", "sum"),
    ).join(sales["usd"].sum(min_count=1).rename("net_usd"))
    looks = clicks[clicks["event_type"].isin(["page_view", "add_to_cart"])]
    looked_at = (
        looks.assign(
            activity_date=looks["event_date"],
            views=looks["event_type"].eq("page_view"),
            carts=looks["event_type"].eq("add_to_cart"),
        )
        .groupby(by)[["views", "carts"]]
        .sum()
    )
    both = sold.join(looked_at, how="outer").reset_index()
    counts = ["orders", "units", "returned_units", "lines_without_usd", "views", "carts"]
    both[counts] = both[counts].fillna(0).astype("Int64")
    both["moved"] = both["units"] + both["returned_units"]
    both["units_28_days"] = window_sum(both, "moved", ["product_id"], "activity_date", pd.Timedelta(28, "D"))
    stock = pd.read_parquet(job.raw("products"), columns=["product_id", "stock_quantity", "updated_at"])
    stock = stock.assign(stock_quantity=whole(stock["stock_quantity"]), since=utc(stock["updated_at"]))
    both = both.merge(stock, on="product_id", how="left")
    is_known_by_then = (both["activity_date"] + pd.Timedelta(1, "D")).gt(both["since"])
    both["stock_quantity"] = both["stock_quantity"].where(is_known_by_then)
    looked, moved = both["views"].gt(0), both["units_28_days"].gt(0)
    both["cart_rate"] = half_even(both["carts"].where(looked) * 10_000, both["views"].where(looked))
    both["stock_cover_days"] = half_even(
        both["stock_quantity"].where(moved) * 280_000, both["units_28_days"].where(moved)
    )
    return both


def traffic(clicks: pd.DataFrame) -> pd.DataFrame:
    """Return events and visitors per date and kind of event."""
    counted = clicks.groupby(["event_date", "event_type"], observed=True, as_index=False).agg(
        events=("event_id", "size"), visitors=("visitor_id", "nunique")
    )
    return counted.astype({"event_type": "str"})


def daily_sessions(sessions: pd.DataFrame) -> pd.DataFrame:
    """Return sessions per date and country."""
    counted = (
        sessions.assign(
            country=sessions["country"].fillna("ZZ"),
            is_bounce=sessions["events"].eq(1),
            length=sessions["ended_at"] - sessions["started_at"],
        )
        .groupby(["session_date", "country"], as_index=False)
        .agg(
            sessions=("events", "size"),
            visitors=("visitor_id", "nunique"),
            events=("events", "sum"),
            bounces=("is_bounce", "sum"),
            cut_sessions=("is_cut", "sum"),
            length=("length", "sum"),
        )
    )
    return counted.assign(total_seconds=counted["length"] // pd.Timedelta(1, "s"))


def funnel(sessions: pd.DataFrame) -> pd.DataFrame:
    """Return how many sessions came how far, per date, country and campaign."""
    steps = {"view": "page_view", "cart": "add_to_cart", "checkout": "checkout", "purchase": "purchase"}
    reached = {f"{step}_sessions": sessions[f"{kind}_events"].gt(0) for step, kind in steps.items()}
    counted = (
        sessions.assign(country=sessions["country"].fillna("ZZ"), campaign=sessions["campaign"].fillna(""), **reached)
        .groupby(["session_date", "country", "campaign"], as_index=False)
        .agg(sessions=("events", "size"), **{name: (name, "sum") for name in reached})
    )
    return counted.assign(
        conversion_rate=half_even(
            counted["purchase_sessions"].astype("Int64") * 10_000, counted["sessions"].astype("Int64")
        )
    )


if __name__ == "__main__":
    main()
