"""Make the gold tables that need clicks only."""

import duckdb


def make_gold_of_clicks(db: duckdb.DuckDBPyConnection) -> None:
    """Make the tables that need clicks only, and `looked_at` and `touched` for two that need orders too."""
    make_traffic(db)
    make_funnel(db)
    make_last_hour(db)
    make_search_terms(db)
    make_visitor_features(db)
    db.execute("""
        create temp table looked_at as
        select
            event_date as activity_date, product_id, count(*) filter (where event_type = 'page_view') as views,
            count(*) filter (where event_type = 'add_to_cart') as carts
        from ordered
        where product_id is not null and event_type in ('page_view', 'add_to_cart')
        group by all
    """)
    db.execute("""
        create temp table touched as
        with by_visitor as (
            select
                event_date, campaign, visitor_id, count(*) filter (where event_type = 'ad_impression') as ad_impressions,
                count(*) filter (where event_type = 'click') as clicks
            from ordered
            where campaign is not null
            group by all
        )

        select event_date, campaign, sum(ad_impressions) as ad_impressions, sum(clicks) as clicks, count(*) as visitors
        from by_visitor
        group by all
    """)
    db.execute("drop table ordered")


def make_traffic(db: duckdb.DuckDBPyConnection) -> None:
    """Make `gold.daily_traffic`."""
    db.execute("""
        create table gold.daily_traffic as
        with by_visitor as (
            select event_date, event_type, visitor_id, count(*) as events from ordered group by all
        )

        select event_date, event_type::varchar as event_type, cast(sum(events) as bigint) as events, count(*) as visitors
        from by_visitor
        group by all
    """)


def make_funnel(db: duckdb.DuckDBPyConnection) -> None:
    """Make `gold.daily_funnel` and `gold.daily_sessions`."""
    db.execute("""
        create table gold.daily_funnel as
        with counted as (
            select
                session_date, coalesce(country, 'ZZ') as country, coalesce(campaign, '') as campaign, count(*) as sessions,
                count(*) filter (where page_view_events > 0) as view_sessions,
                count(*) filter (where add_to_cart_events > 0) as cart_sessions,
                count(*) filter (where checkout_events > 0) as checkout_sessions,
                count(*) filter (where purchase_events > 0) as purchase_sessions
            from silver.sessions
            group by session_date, coalesce(country, 'ZZ'), coalesce(campaign, '')
        )

        select *, ratio(purchase_sessions, sessions) as conversion_rate from counted
    """)
    db.execute("""
        create table gold.daily_sessions as
        select
            session_date, coalesce(country, 'ZZ') as country, count(*) as sessions, count(distinct visitor_id) as visitors,
            cast(sum(events) as bigint) as events, count(*) filter (where events = 1) as bounces,
            count(*) filter (where is_cut) as cut_sessions,
            cast(sum(date_diff('microsecond', started_at, ended_at)) // 1000000 as bigint) as total_seconds
        from silver.sessions
        group by session_date, coalesce(country, 'ZZ')
    """)


def make_last_hour(db: duckdb.DuckDBPyConnection) -> None:
    """Make `gold.last_hour`: each five minutes count in the twelve hours that end with or after them."""
    events = ", ".join(
        f"cast(coalesce(sum(events) filter (where event_type = '{kind}'), 0) as bigint) as {kind}_events"
        for kind in ("page_view", "search", "add_to_cart", "checkout", "purchase")
    )
    db.execute(f"""
        create table gold.last_hour as
        with five_minutes as (
            select time_bucket(interval 5 minutes, event_time, timestamp '2000-01-01') as started_at, event_type, count(*) as events
            from ordered
            group by all
        ),

        hours as (
            select
                unnest(range(started_at + interval 5 minutes, started_at + interval 65 minutes, interval 5 minutes)) as as_of,
                event_type, events
            from five_minutes
        )

        select as_of, cast(sum(events) as bigint) as events, {events} from hours group by as_of
    """)


def make_search_terms(db: duckdb.DuckDBPyConnection) -> None:
    """Make `gold.search_terms`. A search is clicked if the next search or click of its visitor is a click within 30 minutes."""
    db.execute(r"""
        create table gold.search_terms as
        with followed as (
            select
                event_date, visitor_id, event_type,
                lower(trim(regexp_replace(nfc_normalize(search_query), '\s+', ' ', 'g'))) as term,
                coalesce(
                    lead(event_type) over by_time = 'click' and lead(event_time) over by_time - event_time <= interval 30 minutes, false
                ) as is_clicked
            from ordered
            where event_type in ('search', 'click')
            window by_time as (partition by visitor_id order by place)
        ),

        counted as (
            select
                event_date, term, count(*) as searches, count(distinct visitor_id) as visitors,
                count(*) filter (where is_clicked) as clicked_searches
            from followed
            where event_type = 'search' and term <> ''
            group by event_date, term
        )

        select *, ratio(clicked_searches, searches) as click_rate from counted
    """)


def make_visitor_features(db: duckdb.DuckDBPyConnection) -> None:
    """Make `gold.visitor_features`, as of the end of the last hour with clicks."""
    recent = "event_time >= as_of - interval 1 hour"
    kinds = ("page_view", "search", "add_to_cart", "purchase")
    last_hour = ", ".join(
        f"count(*) filter (where {recent} and event_type = '{kind}') as {kind}_events_last_hour" for kind in kinds
    )
    last_days = ", ".join(f"count(*) filter (where event_type = '{kind}') as {kind}_events_7_days" for kind in kinds)
    db.execute(f"""
        create table gold.visitor_features as
        with latest as (
            select date_trunc('hour', max(event_time)) + interval 1 hour as as_of from ordered
        ),

        seen as (
            select ordered.*, as_of from ordered, latest where event_time >= as_of - interval 7 days and event_time < as_of
        ),

        counted as (
            select
                visitor_id, any_value(as_of) as as_of,
                count(*) filter (where {recent}) as events_last_hour, {last_hour},
                count(*) as events_7_days, {last_days},
                cast(bit_count(bit_or(1 << date_diff('day', event_date, cast(as_of as date)))) as bigint) as active_dates_7_days,
                max(event_time) as last_event_at,
                max_by(product_id, place) filter (where product_id is not null) as last_product_id
            from seen
            group by visitor_id
        ),

        products_seen as (
            select visitor_id, product_id, bool_or({recent}) as is_recent
            from seen
            where product_id is not null
            group by visitor_id, product_id
        ),

        products as (
            select visitor_id, count(*) filter (where is_recent) as products_last_hour, count(*) as products_7_days
            from products_seen
            group by visitor_id
        )

        select
            counted.*, coalesce(products_last_hour, 0) as products_last_hour, coalesce(products_7_days, 0) as products_7_days
        from counted
        left join products using (visitor_id)
    """)
