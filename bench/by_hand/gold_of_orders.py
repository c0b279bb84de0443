"""Make the gold tables that need orders."""

import duckdb

# When each rule of the seed fires; `threshold` and `condition` are its own.
RULES = {
    "velocity": "orders_last_day >= {threshold}",
    "country_mismatch": "customer_country <> country and country <> 'ZZ'",
    "amount_over_history": "earlier_orders >= {condition} and lifetime_spend_usd > 0 and order_amount_usd * earlier_orders >= {threshold} * lifetime_spend_usd",
    "new_account_high_value": "account_age_days >= 0 and account_age_days < {condition} and order_amount_usd >= {threshold}",
    "shared_visitor": "visitor_accounts >= {threshold}",
    # The multiple of the usual amount is rounded down, and a million at most.
    "amount_over_shop": "ordered_usd >= ceil({threshold}) * usual_usd and {threshold} <= 1000000 and ordered_usd >= {condition} * coalesce(largest_earlier_usd, 0)",
}
RISKY = 50


def make_order_risk(db: duckdb.DuckDBPyConnection) -> None:
    """Make `gold.order_risk`: the orders whose rules weigh enough together."""
    parts = ("weight", "threshold", "condition")
    rules = ", ".join(
        f"max({part}) filter (where rule = '{rule}') as {rule}_{part}" for rule in RULES for part in parts
    )
    fired = ", ".join(
        f"case when {when.format(**{part: f'{rule}_{part}' for part in parts})}"
        f" then {{'rule': '{rule}', 'weight': {rule}_weight}} end"
        for rule, when in RULES.items()
    )
    db.execute(f"""
        create table gold.order_risk as
        with rules as (
            select max(rules_version) as rules_version, {rules} from fraud_rules
        ),

        judged as (
            select contexts.*, rules_version, list_filter([{fired}], lambda rule: rule is not null) as fired
            from contexts
            left join shared_visitors on contexts.order_id = shared_visitors.order_id
            left join usual_amounts on contexts.order_date = usual_amounts.order_date
            cross join rules
        ),

        scored as (
            select *, least(coalesce(list_sum(list_transform(fired, lambda rule: rule.weight)), 0), 100)::integer as score from judged
        )

        select
            order_id, order_date, score, list_transform(fired, lambda rule: rule.rule) as reasons, 'rules ' || rules_version as scored_by,
            customer_id, country, order_amount_usd
        from scored
        where score >= {RISKY}
    """)


def make_gold_of_orders(db: duckdb.DuckDBPyConnection) -> None:
    """Make the other tables that need orders."""
    make_revenue(db)
    make_products(db)
    make_product_search(db)
    make_campaigns(db)
    make_cohorts(db)
    make_customers(db)


def make_revenue(db: duckdb.DuckDBPyConnection) -> None:
    """Make `gold.daily_revenue` and `gold.hourly_revenue`."""
    amounts = ("gross_amount", "refunded_amount", "net_amount", "net_usd", "tax_amount", "tax_usd")
    counts = ("units", "lines_without_usd", "lines_without_tax")
    sums = [f"cast(sum({name}) as decimal(38, 4)) as {name}" for name in amounts]
    sums += [f"cast(sum({name}) as bigint) as {name}" for name in counts]

    def mean(at: str, length: int, unit: str) -> str:
        window = f"partition by country, currency order by {at} range between interval {length - 1} {unit} preceding and current row"
        return f"to_amount(half_even(sum(to_units(net_amount)) over ({window}), {length}::hugeint))"

    def revenue(at: str) -> str:
        return f"""
            select {at}, country, currency, count(*) as orders, {", ".join(sums)}
            from silver.orders inner join totals using (order_id) where totals.is_counted group by all
        """

    db.execute(f"""
        create table gold.daily_revenue as
        select *, {mean("order_date", 7, "day")} as net_amount_7_days, {mean("order_date", 28, "day")} as net_amount_28_days
        from ({revenue("order_date")})
    """)
    db.execute(f"""
        create table gold.hourly_revenue as
        select *, {mean("order_hour", 24, "hour")} as net_amount_24_hours, {mean("order_hour", 168, "hour")} as net_amount_7_days
        from ({revenue("date_trunc('hour', ordered_at) as order_hour")})
    """)


def make_products(db: duckdb.DuckDBPyConnection) -> None:
    """Make `gold.daily_products`."""
    db.execute("""
        create table gold.daily_products as
        with sold as (
            select
                order_date as activity_date, product_id, count(distinct order_id) as orders, cast(sum(quantity) as bigint) as units,
                cast(coalesce(-sum(quantity) filter (where quantity < 0), 0) as bigint) as returned_units,
                cast(sum(line_amount_usd) as decimal(38, 4)) as net_usd, count(*) - count(line_amount_usd) as lines_without_usd
            from silver.order_items
            where is_counted and product_id is not null
            group by all
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
                    partition by product_id order by activity_date range between interval 27 days preceding and current row
                ) as units_sold
            from both_sides
        ),

        stocked as (
            select measured.*, cast(products.stock_quantity as hugeint) as stock
            from measured
            left join products
                on measured.product_id = products.product_id and cast(measured.activity_date + 1 as timestamp) > products.updated_at
        )

        select
            activity_date, product_id, orders, units, returned_units, net_usd, lines_without_usd, views, carts,
            case when views > 0 then ratio(carts, views) end as cart_rate, cast(units_sold as bigint) as units_28_days,
            cast(stock as bigint) as stock_quantity,
            case when units_sold > 0 and abs(stock) < 1000000000000 then ratio(stock * 28, units_sold) end as stock_cover_days
        from stocked
    """)


def make_product_search(db: duckdb.DuckDBPyConnection) -> None:
    """Make `gold.product_search`."""
    db.execute("""
        create table gold.product_search as
        with recent as (
            select product_id, sum(units) as units, sum(views) as views, sum(carts) as carts
            from gold.daily_products
            where activity_date > (select max(activity_date) - 28 from gold.daily_products)
            group by product_id
        ),

        counted as (
            select
                products.* exclude (updated_at), cast(coalesce(units, 0) as bigint) as units_28_days,
                cast(coalesce(views, 0) as bigint) as views_28_days, cast(coalesce(carts, 0) as bigint) as carts_28_days
            from products
            left join recent using (product_id)
        )

        select
            *, cast(to_json({
                'id': product_id, 'title': name, 'category': category, 'price': cast(unit_price as varchar), 'currency': currency,
                'is_in_stock': coalesce(stock_quantity > 0, false), 'units_28_days': units_28_days, 'views_28_days': views_28_days,
                'carts_28_days': carts_28_days
            }) as varchar) as document
        from counted
    """)


def make_campaigns(db: duckdb.DuckDBPyConnection) -> None:
    """Make `gold.campaigns`. An order counts for its first purchase event."""
    db.execute("""
        create table gold.campaigns as
        with firsts as (
            select * from silver.purchases qualify row_number() over (partition by order_id order by purchased_at, event_id) = 1
        ),

        sold as (
            select
                event_date, coalesce(campaign, '') as campaign, count(*) as orders, sum(order_amount_usd) as net_usd,
                count(*) filter (where is_usd_missing) as orders_without_usd
            from firsts
            inner join order_facts using (order_id)
            where is_counted
            group by event_date, coalesce(campaign, '')
        )

        select
            event_date, campaign, cast(coalesce(ad_impressions, 0) as bigint) as ad_impressions,
            cast(coalesce(clicks, 0) as bigint) as clicks, coalesce(visitors, 0) as visitors, coalesce(orders, 0) as orders,
            cast(coalesce(net_usd, 0) as decimal(38, 4)) as net_usd, coalesce(orders_without_usd, 0) as orders_without_usd
        from touched
        full join sold using (event_date, campaign)
    """)


def make_cohorts(db: duckdb.DuckDBPyConnection) -> None:
    """Make `gold.cohorts`."""
    db.execute("""
        create table gold.cohorts as
        with orders as (
            select customer_id, date_trunc('month', order_date) as order_month, order_amount_usd
            from order_facts
            where is_counted and customer_id is not null
        ),

        firsts as (
            select customer_id, min(order_month) as cohort_month from orders group by customer_id
        ),

        sizes as (
            select cohort_month, count(*) as cohort_customers from firsts group by cohort_month
        )

        select
            cast(firsts.cohort_month as date) as cohort_month, date_diff('month', firsts.cohort_month, order_month) as months_since,
            any_value(cohort_customers) as cohort_customers, count(distinct orders.customer_id) as customers, count(*) as orders,
            cast(sum(order_amount_usd) as decimal(38, 4)) as net_usd
        from orders
        inner join firsts on orders.customer_id = firsts.customer_id
        inner join sizes on firsts.cohort_month = sizes.cohort_month
        group by firsts.cohort_month, order_month
    """)


def make_customers(db: duckdb.DuckDBPyConnection) -> None:
    """Make `gold.customers`: the scores are fifths of all customers by recency, frequency and money."""
    db.execute("""
        create table gold.customers as
        with totals as (
            select
                customer_id, min(order_date) as first_order_date, max(order_date) as last_order_date, count(*) as orders,
                sum(order_amount_usd) as lifetime_value_usd, count(*) filter (where is_usd_missing) as orders_without_usd
            from order_facts
            where is_counted and customer_id is not null
            group by customer_id
        ),

        aged as (
            select
                *, max(last_order_date) over () as as_of_date, max(last_order_date) over () - last_order_date as recency_days,
                case when orders > 1 then greatest(last_order_date - first_order_date, 1) else 90 end as days_between
            from totals
        ),

        scored as (
            select
                *, 1 + 5 * (rank() over (order by recency_days desc) - 1) // count(*) over () as recency_score,
                1 + 5 * (rank() over (order by orders) - 1) // count(*) over () as frequency_score,
                1 + 5 * (rank() over (order by lifetime_value_usd) - 1) // count(*) over () as monetary_score,
                recency_days * greatest(orders - 1, 1) as days_waited
            from aged
        )

        select
            scored.customer_id, nullif(customers.country, '') as country, first_order_date, last_order_date, orders,
            cast(lifetime_value_usd as decimal(38, 4)) as lifetime_value_usd, orders_without_usd, as_of_date, recency_days,
            recency_score, frequency_score, monetary_score,
            case
                when recency_score >= 4 and frequency_score >= 4 and monetary_score >= 4 then 'champion'
                when recency_score >= 3 and frequency_score >= 4 then 'loyal'
                when recency_score >= 4 and orders = 1 then 'new'
                when recency_score <= 2 and frequency_score >= 3 then 'at risk'
                when recency_score <= 2 then 'lost'
                else 'regular'
            end as rfm_class,
            case
                when days_waited > 3 * days_between then 'high'
                when days_waited > 2 * days_between then 'medium'
                else 'low'
            end as churn_risk
        from scored
        left join customers on scored.customer_id = customers.customer_id
    """)
