"""Make the orders: typed, in dollars, taxed, with what was known when they were placed."""

import sys
from collections.abc import Mapping

import duckdb

from bench.by_hand.columns import CUSTOMERS, EXCHANGE_RATES, ORDER_ITEMS, ORDERS, PRODUCTS
from bench.by_hand.job import SEEDS, Job
from bench.by_hand.values import READERS, is_suspicious, listed


def type_rows(db: duckdb.DuckDBPyConnection, job: Job) -> None:
    """Make the valid rows of the shop's tables and of the rates, typed, and the seeds."""
    statuses = listed(["created", "paid", "shipped", "completed", "cancelled", "refunded", ""])
    placed = f"order_id <> '' and currency <> '' and ordered_at <= {job.latest()}"
    type_table(db, job, "orders", ORDERS, f"{placed} and coalesce(status in ({statuses}), true)")
    counted = "quantity <> 0 and quantity between -2147483648 and 2147483647"
    type_table(
        db,
        job,
        "order_items",
        ORDER_ITEMS,
        f"order_id <> '' and line_number is not null and {counted} and unit_price is not null",
    )
    type_table(db, job, "customers", CUSTOMERS, "customer_id <> ''")
    type_table(db, job, "products", PRODUCTS, "product_id <> ''")
    db.execute("create table silver.customers as from customers; create table silver.products as from products")
    quoted = f"rate_date <= {job.latest()} and currency <> '' and rate between 0.000001 and 10000000"
    type_table(db, job, "exchange_rates", EXCHANGE_RATES, quoted)
    read_seed(
        db,
        "tax_rates",
        country="varchar",
        valid_from="date",
        valid_to="date",
        tax_rate="decimal(6,4)",
        source="varchar",
    )
    read_seed(db, "currencies", currency="varchar", minor_units="integer", source="varchar")
    read_seed(
        db,
        "fraud_rules",
        rules_version="integer",
        rule="varchar",
        weight="integer",
        threshold="decimal(18,4)",
        condition="bigint",
        meaning="varchar",
    )


def type_table(db: duckdb.DuckDBPyConnection, job: Job, table: str, columns: Mapping[str, str], valid: str) -> None:
    """Make a table of the rows whose values can be read and are valid. Stop if too many are not."""
    typed = ", ".join(f"{READERS[kind].format(name)} as {name}" for name, kind in columns.items())
    converted = [name for name, kind in columns.items() if kind != "varchar"]
    filled = ", ".join(f"{name} is not null as has_{name}" for name in converted)
    is_read = " and ".join(f"({name} is not null or not has_{name})" for name in converted)
    db.execute(f"""
        create temp table {table} as
        with typed as (
            select {typed}, {filled} from '{job.raw(table)}'
        )

        select {", ".join(columns)} from typed where {is_read} and {valid}
    """)
    (rows,), (good,) = db.sql(
        f"select count(*) from '{job.raw(table)}' union all select count(*) from {table}"
    ).fetchall()
    if is_suspicious(rows - good, rows):
        sys.exit(f"{rows - good} of {rows} rows of {table} are refused")


def read_seed(db: duckdb.DuckDBPyConnection, seed: str, **columns: str) -> None:
    """Make a table of a seed."""
    db.execute(f"""
        create temp table {seed} as
        select * from read_csv('{SEEDS / f"{seed}.csv"}', header = true, auto_detect = false, quote = '"', escape = '"', columns = {columns})
    """)


def make_orders(db: duckdb.DuckDBPyConnection) -> None:
    """Make `silver.orders`, and `usd_rates`: per date and currency of an order, the two quotes that turn its amounts to dollars."""
    db.execute("""
        create table silver.orders as
        select
            * replace (nullif(customer_id, '') as customer_id), cast(ordered_at as date) as order_date,
            coalesce(nullif(trim(shipping_country), ''), 'ZZ') as country, coalesce(status, '') <> 'cancelled' as is_counted
        from orders
    """)
    db.execute(f"""
        create temp table usd_rates as
        with quotes as (
            select rate_date, currency, cast(cast(rate as decimal(38, 8)) * 100000000 as hugeint) as units
            from exchange_rates
            qualify row_number() over (
                partition by rate_date, currency
                order by updated_at desc nulls last, md5(concat({", ".join(f"canonical({name})" for name in EXCHANGE_RATES)})) desc
            ) = 1
        ),

        wanted as (
            select distinct order_date, currency from silver.orders
        ),

        dollars as (
            select rate_date, units as usd_units from quotes where currency = 'USD'
        ),

        others as (
            select rate_date, currency, units as per_units from quotes
            union all
            select rate_date, 'EUR', 100000000 from dollars
        )

        select order_date, currency, usd_units, per_units
        from wanted
        inner join others using (currency)
        inner join dollars using (rate_date)
        where currency <> 'USD' and rate_date between order_date - 5 and order_date
        qualify row_number() over (partition by order_date, currency order by rate_date desc) = 1
        union all
        select order_date, currency, 1, 1 from wanted where currency = 'USD'
    """)


def price_lines(db: duckdb.DuckDBPyConnection) -> None:
    """Make `silver.order_items`: the order lines with their amount, tax, and both in dollars."""
    db.execute("""
        create temp table priced as
        with valued as (
            select * replace (nullif(product_id, '') as product_id, coalesce(discount_amount, 0) as discount_amount) from order_items
        )

        select
            valued.order_id, line_number, product_id, quantity, unit_price, discount_amount, valued.updated_at,
            cast(cast(quantity as decimal(19, 0)) * unit_price - discount_amount as decimal(38, 4)) as line_amount,
            case
                when abs(quantity) < 100000 and abs(unit_price) < 1000000000 and abs(discount_amount) < 1000000000
                    then quantity * cast(unit_price * 10000 as bigint) - cast(discount_amount * 10000 as bigint)
            end as line_units,
            orders.order_id is not null as is_known_order, order_date, ordered_at, country, currency, coalesce(is_counted, false) as is_counted
        from valued
        left join silver.orders as orders on valued.order_id = orders.order_id
    """)
    whole = type_of_amounts(db)
    tax_lines(db, whole)
    db.execute(f"""
        create table silver.order_items as
        with rates as (
            select order_date, currency, cast(usd_units as {whole}) as usd_units, cast(per_units as {whole}) as per_units from usd_rates
        ),

        multiplied as (
            select priced.*, tax_rate, tax_units, per_units, line_units * usd_units as usd_product, tax_units * usd_units as tax_product
            from priced
            left join rates on priced.order_date = rates.order_date and priced.currency = rates.currency
            left join taxes on priced.order_id = taxes.order_id and priced.line_number = taxes.line_number
        )

        select
            * exclude (line_units, tax_units, per_units, usd_product, tax_product), to_amount(tax_units) as tax_amount,
            case when abs(line_amount) < 1000000000000000 then to_amount(half_even(usd_product, per_units)) end as line_amount_usd,
            case
                when abs(tax_units::hugeint) < 10000000000000000000 then to_amount(half_even(tax_product, per_units))
            end as tax_amount_usd
        from multiplied
    """)
    db.execute("drop table priced; drop table taxes; drop table order_items; drop table orders")


def type_of_amounts(db: duckdb.DuckDBPyConnection) -> str:
    """Return BIGINT if every product of an amount and a rate fits, which is all real money; else make the amounts HUGEINT."""
    (fits,) = db.execute("""
        select
            coalesce(bool_and(line_units is not null), true)
            and coalesce(max(abs(line_units)), 0)::hugeint * (select greatest(coalesce(max(usd_units), 0), 100000) from usd_rates)
            < 9000000000000000000
        from priced
    """).fetchone()
    if fits:
        return "bigint"
    db.execute(
        "create or replace temp table priced as select * replace (to_units(line_amount) as line_units) from priced"
    )
    return "hugeint"


def tax_lines(db: duckdb.DuckDBPyConnection, whole: str) -> None:
    """Make `taxes`: the tax of each line in ten-thousandths, whole units of its currency.

    An order's tax is rounded once, half-even. Its lines get theirs rounded down, and those with the largest rests get
    what is left over.
    """
    db.execute(f"""
        create temp table owed as
        with rates as (
            select *, cast(to_units(tax_rate) as {whole}) as rate_units from tax_rates
        ),

        multiplied as (
            select
                order_id, line_number, tax_rate, line_units * rate_units as owed,
                cast(10 ** (8 - minor_units) as {whole}) as unit, cast(10 ** (4 - minor_units) as {whole}) as back
            from priced
            inner join rates
                on priced.country = rates.country and order_date >= valid_from and order_date < coalesce(valid_to, date '9999-12-31')
            inner join currencies on priced.currency = currencies.currency
            where is_known_order and abs(line_amount) < 1000000000000000
        )

        select *, owed // unit - cast(owed % unit < 0 as integer) as units from multiplied
    """)
    db.execute(f"""
        create temp table taxes as
        with orders_owed as (
            select
                order_id, cast(sum(owed) as {whole}) as owed, any_value(unit) as unit, cast(sum(units) as {whole}) as given,
                count(*) as lines
            from owed
            group by order_id
        ),

        left_over as (
            select order_id, lines, half_even(owed, unit) - given as rest from orders_owed
        ),

        shared as (
            select owed.*, rest, lines from owed inner join left_over on owed.order_id = left_over.order_id
        )

        select order_id, line_number, tax_rate, (units + cast(rest > 0 as integer)) * back as tax_units
        from shared
        where rest <= 0 or rest >= lines
        union all
        select
            order_id, line_number, tax_rate,
            (units + cast(row_number() over (partition by order_id order by owed - units * unit desc, line_number) <= rest as integer)) * back
        from shared
        where rest > 0 and rest < lines
    """)
    db.execute("drop table owed")


def sum_orders(db: duckdb.DuckDBPyConnection) -> None:
    """Make `totals`, what the lines of an order come to, and `order_facts`, one row per order also if it has no lines."""
    db.execute("""
        create temp table totals as
        select
            order_id, any_value(is_counted) as is_counted, sum(quantity) as units,
            coalesce(sum(line_amount) filter (where quantity > 0), 0) as gross_amount,
            coalesce(-sum(line_amount) filter (where quantity < 0), 0) as refunded_amount,
            sum(line_amount) as net_amount, sum(line_amount_usd) as net_usd, count(*) - count(line_amount_usd) as lines_without_usd,
            sum(tax_amount) as tax_amount, sum(tax_amount_usd) as tax_usd, count(*) - count(tax_amount) as lines_without_tax,
            cast(sum(line_amount_usd) filter (where quantity > 0) as decimal(38, 4)) as ordered_usd
        from silver.order_items
        where is_known_order
        group by order_id
    """)
    db.execute("""
        create temp table order_facts as
        select
            orders.order_id, customer_id, ordered_at, order_date, country, coalesce(totals.is_counted, false) as is_counted,
            cast(coalesce(case when totals.is_counted then net_usd end, 0) as decimal(38, 4)) as order_amount_usd,
            coalesce(totals.is_counted and lines_without_usd > 0, false) as is_usd_missing, ordered_usd
        from silver.orders as orders
        left join totals on orders.order_id = totals.order_id
    """)


def look_back(db: duckdb.DuckDBPyConnection) -> None:
    """Make what was known of an order when it was placed: `contexts` by customer, `shared_visitors`, `usual_amounts` by date."""
    db.execute("""
        create temp table contexts as
        with earlier as (
            select
                *, count(*) filter (where is_counted) over before_it as earlier_orders,
                cast(coalesce(sum(order_amount_usd) over before_it, 0) as decimal(38, 4)) as lifetime_spend_usd,
                max(ordered_usd) over before_it as largest_earlier_usd,
                count(*) over before_it - count(*) over a_day_before as orders_last_day
            from order_facts
            where customer_id is not null
            window
                before_it as (partition by customer_id order by ordered_at, order_id rows between unbounded preceding and 1 preceding),
                a_day_before as (
                    partition by customer_id order by ordered_at range between unbounded preceding and interval 1 day preceding
                )
        ),

        history as (
            select customer_id, nullif(country, '') as country, created_at, least(created_at, updated_at) as valid_from from customers
        )

        select earlier.*, history.country as customer_country, date_diff('day', cast(created_at as date), order_date) as account_age_days
        from earlier
        left join history on earlier.customer_id = history.customer_id and earlier.ordered_at >= history.valid_from
        union all by name
        select * from order_facts where customer_id is null
    """)
    # Steps in time per customer, instead of every visitor of every order.
    db.execute("""
        create temp table shared_visitors as
        with steps as (
            select mine.customer_id, greatest(mine.first_seen_at, theirs.first_seen_at) as since, max(theirs.accounts_by_then) as accounts
            from accounts as mine
            inner join accounts as theirs using (visitor_id)
            group by all
        ),

        most as (
            select customer_id, since, max(accounts) over (partition by customer_id order by since) as visitor_accounts from steps
        )

        select order_id, visitor_accounts
        from contexts
        asof inner join most on contexts.customer_id = most.customer_id and contexts.ordered_at >= most.since
    """)
    # The median of the daily medians of 28 dates before; of a first date its own. Of fewer than ten orders there is none.
    db.execute("""
        create temp table usual_amounts as
        with sizes as (
            select order_date, count(*) as orders, quantile_disc(ordered_usd, 0.5) as median_usd
            from order_facts
            where ordered_usd > 0
            group by order_date
        )

        select sizes.order_date, coalesce(quantile_disc(earlier.median_usd, 0.5), any_value(sizes.median_usd)) as usual_usd
        from sizes
        left join sizes as earlier on earlier.order_date >= sizes.order_date - 28 and earlier.order_date < sizes.order_date
        group by sizes.order_date
        having coalesce(sum(earlier.orders), any_value(sizes.orders)) >= 10
    """)
