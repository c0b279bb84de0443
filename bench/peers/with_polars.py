"""Make silver and some of the gold tables with polars.

python -m bench.peers.with_polars LANDING DATABASE_URL RATES FROM TO OUT.duckdb

Lazy frames and the streaming engine where the data is large. Money is counted in whole ten-thousandths, in 64 bits.
"""

import polars as pl
from polars import col

from bench.by_hand import landing
from bench.by_hand.clicks import EMPTY_IS_MISSING, EVENT_TYPES
from bench.by_hand.job import FUTURE, Job, read_job
from bench.peers import common
from bench.peers.tables import DAILY_MEANS, HOURLY_MEANS

CLICK = pl.Struct(
    {
        **dict.fromkeys(("event_id", "event_type", "event_time", "visitor_id", "customer_id", "url"), pl.String),
        **dict.fromkeys(("referrer", "product_id", "search_query", "campaign", "order_id"), pl.String),
        **dict.fromkeys(("quantity", "unit_price", "currency", "country", "user_agent"), pl.String),
        "properties": pl.Struct({"step": pl.Int64}),
    }
)
SHOP_TIME = "%Y-%m-%d %H:%M:%S%.f%#z"


def main() -> None:
    """Read the arguments, and make the tables."""
    job = read_job(__doc__)
    common.begin(job)
    landing.land(job)
    clicks = keep_clicks(job)
    lines = make_lines(job)
    sessions = make_sessions(job, clicks)
    daily = revenue(lines, "order_date", DAILY_MEANS, "d")
    hourly = revenue(
        lines.with_columns(order_hour=col("ordered_at").dt.truncate("1h")), "order_hour", HOURLY_MEANS, "h"
    )
    tables = {
        "daily_revenue": daily,
        "hourly_revenue": hourly,
        "daily_products": products(job, lines, clicks),
        "daily_traffic": traffic(clicks),
        "daily_sessions": daily_sessions(sessions),
        "daily_funnel": funnel(sessions),
    }
    common.write_gold(job, {name: table.to_arrow() for name, table in tables.items()})


def keep_clicks(job: Job) -> pl.LazyFrame:
    """Write the valid clicks, one for each id and date, and return them.

    Lines that end like an object are nearly all JSON. If one is not, each line is tried before it is decoded.
    """
    raw = pl.scan_parquet(job.lines / "*.parquet").select(line=col("raw").str.strip_chars_end("\n"))
    looks_whole = col("line").str.starts_with("{") & col("line").str.ends_with("}")
    path = job.work / "silver_clickstream.parquet"
    try:
        parse(raw.filter(looks_whole), job).sink_parquet(path, compression_level=1)
    except pl.exceptions.ComputeError:
        is_json = col("line").str.json_path_match("$").str.starts_with("{")
        parse(raw.filter(is_json), job).sink_parquet(path, compression_level=1)
    return pl.scan_parquet(path)


def parse(lines: pl.LazyFrame, job: Job) -> pl.LazyFrame:
    """Return the valid clicks among JSON lines, typed and without duplicates."""
    typed = (
        lines.select(col("line").str.json_decode(CLICK))
        .unnest("line")
        .with_columns(
            utc(col("event_time"), "%+"),
            whole(col("quantity")).alias("pieces"),
            decimal(col("unit_price")).alias("price"),
        )
    )
    valid = typed.filter(
        col("event_id") != "",
        col("event_type").is_in(EVENT_TYPES),
        col("visitor_id") != "",
        col("event_time") <= (job.now + FUTURE).replace(tzinfo=None),
        col("quantity").is_null() | (col("pieces") != 0),
        col("unit_price").is_null() | col("price").is_not_null(),
    )
    return (
        valid.with_columns(
            *(empty_as_null(name) for name in EMPTY_IS_MISSING),
            quantity="pieces",
            unit_price="price",
            event_date=col("event_time").dt.date(),
        )
        .drop("pieces", "price")
        .unique(["event_id", "event_date"])
    )


def utc(text: pl.Expr, layout: str) -> pl.Expr:
    return text.str.to_datetime(layout, time_unit="us", time_zone="UTC", strict=False).dt.replace_time_zone(None)


def whole(text: pl.Expr) -> pl.Expr:
    return text.cast(pl.Int64, strict=False)


def decimal(text: pl.Expr, places: int = 4) -> pl.Expr:
    """Return text as decimals; null if it is none, or has more places."""
    pattern = common.DECIMAL_4 if places == 4 else common.DECIMAL_8
    return pl.when(text.str.contains(pattern)).then(text).cast(pl.Decimal(18, places), strict=False)


def units(amount: pl.Expr, places: int = 4) -> pl.Expr:
    """Return amounts as whole numbers of their last place."""
    return (amount * 10**places).cast(pl.Int64)


def empty_as_null(name: str) -> pl.Expr:
    return pl.when(col(name) != "").then(col(name)).alias(name)


def half_even(dividend: pl.Expr, divisor: pl.Expr | int) -> pl.Expr:
    """Return the quotients of whole numbers, rounded half-even."""
    quotient, twice_rest = dividend.abs() // divisor, dividend.abs() % divisor * 2
    is_up = (twice_rest > divisor) | ((twice_rest == divisor) & (quotient % 2 == 1))
    return dividend.sign() * (quotient + is_up.cast(pl.Int64))


def total(name: str) -> pl.Expr:
    """Return the sum of a column; null, as in SQL, if it has no value."""
    return pl.when(col(name).count() > 0).then(col(name).sum()).alias(name)


def make_lines(job: Job) -> pl.DataFrame:
    """Write the orders, and their lines with amounts, tax, and both in dollars; return the lines that count."""
    latest = (job.now + FUTURE).replace(tzinfo=None)
    orders = (
        pl.scan_parquet(job.raw("orders"))
        .with_columns(utc(col("ordered_at", "updated_at"), SHOP_TIME), decimal(col("total_amount")))
        .filter(
            col("order_id") != "",
            col("currency") != "",
            col("ordered_at") <= latest,
            col("status").is_null() | col("status").is_in(common.STATUSES),
        )
        .with_columns(
            empty_as_null("customer_id"),
            order_date=col("ordered_at").dt.date(),
            country=col("shipping_country").str.strip_chars(" ").replace("", None).fill_null("ZZ"),
            is_counted=col("status").fill_null("") != "cancelled",
        )
        .collect()
    )
    orders.write_parquet(job.work / "silver_orders.parquet")
    items = (
        pl.scan_parquet(job.raw("order_items"))
        .with_columns(
            whole(col("line_number", "quantity")),
            decimal(col("unit_price")),
            decimal(col("discount_amount")),
            utc(col("updated_at"), SHOP_TIME),
            empty_as_null("product_id"),
            is_read=col("discount_amount").is_null() | decimal(col("discount_amount")).is_not_null(),
        )
        .filter(
            col("order_id") != "",
            col("line_number").is_not_null(),
            (col("quantity") != 0) & col("quantity").is_between(-(2**31), 2**31 - 1),
            col("unit_price").is_not_null(),
            col("is_read"),
        )
        .with_columns(amount=col("quantity") * units(col("unit_price")) - units(col("discount_amount").fill_null(0)))
        .drop("is_read")
        .collect()
    )
    largest = items.select(col("quantity"), units(col("unit_price"))).select(pl.all().abs().max().fill_null(0))
    common.check_size(*largest.row(0))
    known = orders.select("order_id", "ordered_at", "order_date", "country", "currency", "is_counted")
    lines = items.join(known, on="order_id", how="left")
    lines = lines.join(tax(lines), on=["order_id", "line_number"], how="left")
    lines = lines.join(quotes(job, orders), on=["order_date", "currency"], how="left")
    largest = lines.select(pl.max_horizontal(col("amount", "tax").abs().max())).item() or 0
    common.check_size(largest, max(lines["usd_quote"].max() or 0, common.WHOLE_TAX))
    lines = lines.with_columns(
        usd=half_even(col("amount") * col("usd_quote"), col("quote")),
        tax_usd=half_even(col("tax") * col("usd_quote"), col("quote")),
    )
    lines.write_parquet(job.work / "silver_order_items.parquet")
    return lines.filter("is_counted")


def tax(lines: pl.DataFrame) -> pl.DataFrame:
    """Return the tax of each line, in ten-thousandths but whole units of its currency.

    An order's tax is rounded once, half-even. Its lines get theirs rounded down, and those with the largest rests get
    what is left over.
    """
    rates = pl.read_csv(common.TAX_RATES, schema_overrides={"tax_rate": pl.String}, try_parse_dates=True).select(
        "country", "valid_from", "valid_to", rate=units(decimal(col("tax_rate")))
    )
    currencies = pl.read_csv(common.CURRENCIES).select(
        "currency", unit=10 ** (8 - col("minor_units")), back=10 ** (4 - col("minor_units"))
    )
    owed = (
        lines.join(rates, on="country")
        .filter(
            col("order_date") >= col("valid_from"), col("valid_to").is_null() | (col("order_date") < col("valid_to"))
        )
        .join(currencies, on="currency")
        .select("order_id", "line_number", "unit", "back", owed=col("amount") * col("rate"))
        .with_columns(given=col("owed") // col("unit"))
        .with_columns(rest=col("owed") - col("given") * col("unit"))
    )
    left_over = owed.group_by("order_id").agg(
        left_over=half_even(col("owed").sum(), col("unit").first()) - col("given").sum()
    )
    return (
        owed.join(left_over, on="order_id")
        .sort("order_id", "rest", "line_number", descending=[False, True, False])
        .with_columns(place=col("line_number").cum_count().over("order_id"))
        .select(
            "order_id",
            "line_number",
            tax=(col("given") + (col("place") <= col("left_over")).cast(pl.Int64)) * col("back"),
        )
    )


def quotes(job: Job, orders: pl.DataFrame) -> pl.DataFrame:
    """Return the two quotes of a euro that turn an amount of an order's date and currency to dollars."""
    given = (
        pl.read_parquet(job.raw("exchange_rates"))
        .with_columns(
            col("rate_date").str.to_date(strict=False), decimal(col("rate"), 8), utc(col("updated_at"), SHOP_TIME)
        )
        .filter(
            col("rate_date") <= (job.now + FUTURE).date(),
            col("currency") != "",
            col("rate").is_between(0.000001, 10_000_000),
        )
        .sort("updated_at", nulls_last=False)
        .unique(["rate_date", "currency"], keep="last", maintain_order=True)
        .select("rate_date", "currency", quote=units(col("rate"), 8))
    )
    dollars = given.filter(col("currency") == "USD").select("rate_date", usd_quote="quote")
    euros = dollars.select("rate_date", currency=pl.lit("EUR"), quote=pl.lit(10**8, pl.Int64))
    others = pl.concat([given, euros]).join(dollars, on="rate_date").sort("rate_date")
    wanted = orders.select("order_date", "currency").unique().sort("order_date")
    found = wanted.filter(col("currency") != "USD").join_asof(
        others,
        left_on="order_date",
        right_on="rate_date",
        by="currency",
        tolerance=common.OLDEST_RATE,
        check_sortedness=False,
    )
    same = wanted.filter(col("currency") == "USD").with_columns(
        quote=pl.lit(1, pl.Int64), usd_quote=pl.lit(1, pl.Int64)
    )
    return pl.concat([found.drop("rate_date"), same], how="diagonal")


def make_sessions(job: Job, clicks: pl.LazyFrame) -> pl.DataFrame:
    """Write the sessions, and return them. One that lasts for more than a day is cut at each midnight."""
    names = ("event_time", "event_id", "visitor_id", "event_date", "event_type", "country", "campaign", "customer_id")
    is_first = (col("visitor_id") != col("visitor_id").shift(1)) | (col("event_time").diff() > common.SESSION_GAP)
    numbered = (
        clicks.select(names)
        .sort("visitor_id", "event_time", "event_id")
        .with_columns(number=is_first.fill_null(True).cum_sum())
        .collect(engine="streaming")
    )
    found = sessions_of(numbered, "number")
    is_long = col("ended_at") - col("started_at") > common.LONGEST_SESSION
    long = found.filter(is_long)
    cut = sessions_of(numbered.join(long, on="number", how="semi"), "number", "event_date").drop("event_date")
    sessions = pl.concat([found.filter(~is_long).with_columns(is_cut=False), cut.with_columns(is_cut=True)])
    sessions.write_parquet(job.work / "silver_sessions.parquet")
    return sessions


def sessions_of(numbered: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Return a row for each value of `by`. Clicks are in order of time."""
    kinds = {f"{kind}_events": (col("event_type") == kind).sum() for kind in EVENT_TYPES}
    return (
        numbered.lazy()
        .group_by(by)
        .agg(
            col("visitor_id").first(),
            col("event_id").first().alias("first_event_id"),
            started_at=col("event_time").first(),
            ended_at=col("event_time").last(),
            events=pl.len(),
            country=col("country").first(ignore_nulls=True),
            campaign=col("campaign").first(ignore_nulls=True),
            first_customer=col("customer_id").min(),
            last_customer=col("customer_id").max(),
            **kinds,
        )
        .with_columns(
            session_date=col("started_at").dt.date(),
            customer_id=pl.when(col("first_customer") == col("last_customer")).then("first_customer"),
        )
        .drop("first_customer", "last_customer")
        .collect(engine="streaming")
    )


def revenue(lines: pl.DataFrame, at: str, means: dict[str, int], unit: str) -> pl.DataFrame:
    """Return the revenue per date or hour, country and currency, with its moving means."""
    counted = (
        lines.lazy()
        .group_by(at, "country", "currency")
        .agg(
            orders=col("order_id").n_unique(),
            units=col("quantity").sum(),
            gross_amount=col("amount").filter(col("quantity") > 0).sum(),
            refunded_amount=-col("amount").filter(col("quantity") < 0).sum(),
            net_amount=col("amount").sum(),
            net_usd=total("usd"),
            lines_without_usd=col("usd").null_count(),
            tax_amount=total("tax"),
            tax_usd=total("tax_usd"),
            lines_without_tax=col("tax").null_count(),
        )
        .sort(at)
        .collect()
    )
    return counted.with_columns(
        half_even(col("net_amount").rolling_sum_by(at, f"{length}{unit}").over("country", "currency"), length).alias(
            name
        )
        for name, length in means.items()
    )


def products(job: Job, lines: pl.DataFrame, clicks: pl.LazyFrame) -> pl.DataFrame:
    """Return what was sold and looked at, per date and product."""
    sold = (
        lines.filter(col("product_id").is_not_null())
        .group_by("product_id", activity_date="order_date")
        .agg(
            orders=col("order_id").n_unique(),
            units=col("quantity").sum(),
            returned_units=-col("quantity").filter(col("quantity") < 0).sum(),
            net_usd=total("usd"),
            lines_without_usd=col("usd").null_count(),
        )
    )
    looked_at = (
        clicks.filter(col("product_id").is_not_null(), col("event_type").is_in(["page_view", "add_to_cart"]))
        .group_by("product_id", activity_date="event_date")
        .agg(
            views=(col("event_type") == "page_view").sum().cast(pl.Int64),
            carts=(col("event_type") == "add_to_cart").sum().cast(pl.Int64),
        )
        .collect(engine="streaming")
    )
    stock = (
        pl.read_parquet(job.raw("products"))
        .filter(col("product_id") != "")
        .select("product_id", whole(col("stock_quantity")), since=utc(col("updated_at"), SHOP_TIME))
    )
    is_known_by_then = (col("activity_date") + pl.duration(days=1)).cast(pl.Datetime("us")) > col("since")
    sold_units = (col("units") + col("returned_units")).rolling_sum_by("activity_date", "28d").over("product_id")
    return (
        sold.join(looked_at, on=["activity_date", "product_id"], how="full", coalesce=True)
        .with_columns(col("orders", "units", "returned_units", "lines_without_usd", "views", "carts").fill_null(0))
        .sort("activity_date")
        .with_columns(units_28_days=sold_units)
        .join(stock, on="product_id", how="left")
        .with_columns(pl.when(is_known_by_then).then("stock_quantity").alias("stock_quantity"))
        .with_columns(
            cart_rate=pl.when(col("views") > 0).then(half_even(col("carts") * 10_000, col("views"))),
            stock_cover_days=pl.when(col("units_28_days") > 0).then(
                half_even(col("stock_quantity") * 280_000, col("units_28_days"))
            ),
        )
    )


def traffic(clicks: pl.LazyFrame) -> pl.DataFrame:
    """Return events and visitors per date and kind of event."""
    return (
        clicks.group_by("event_date", "event_type")
        .agg(events=pl.len(), visitors=col("visitor_id").n_unique())
        .collect(engine="streaming")
    )


def daily_sessions(sessions: pl.DataFrame) -> pl.DataFrame:
    """Return sessions per date and country."""
    return sessions.group_by("session_date", col("country").fill_null("ZZ")).agg(
        sessions=pl.len(),
        visitors=col("visitor_id").n_unique(),
        events=col("events").sum(),
        bounces=(col("events") == 1).sum(),
        cut_sessions=col("is_cut").sum(),
        total_seconds=(col("ended_at") - col("started_at")).sum().dt.total_microseconds() // 1_000_000,
    )


def funnel(sessions: pl.DataFrame) -> pl.DataFrame:
    """Return how many sessions came how far, per date, country and campaign."""
    steps = {"view": "page_view", "cart": "add_to_cart", "checkout": "checkout", "purchase": "purchase"}
    counted = sessions.group_by("session_date", col("country").fill_null("ZZ"), col("campaign").fill_null("")).agg(
        sessions=pl.len().cast(pl.Int64),
        **{f"{step}_sessions": (col(f"{kind}_events") > 0).sum().cast(pl.Int64) for step, kind in steps.items()},
    )
    return counted.with_columns(conversion_rate=half_even(col("purchase_sessions") * 10_000, col("sessions")))


if __name__ == "__main__":
    main()
