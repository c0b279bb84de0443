"""Write what a perfect pipeline must find, from what was simulated, without any of the pipeline's code.

`shop/truth.json` holds lists of objects:
    fates         dataset, date, fate, records
    dead_letters  dataset, date, reason, records
    revenue       order_date, country, currency, orders, units, gross_amount, refunded_amount, net_amount
    undated       dataset, records: customers who ordered, products that were ordered
    traffic       event_date, event_type, events, visitors
Amounts are text with four decimals. The database's fates are those of distinct keys: how often a row is landed again
is the windows' business.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from ingestion import atomic
from ingestion.home import Home

Row = dict[str, Any]


def write(
    home: Home, laboratory: duckdb.DuckDBPyConnection, shop: psycopg.Connection, days: Sequence[Any], until: datetime
) -> Path:
    """Write the truth as of `until`, and return its file."""
    clicks = _ask_clicks(laboratory, _CLICK_FATES)
    found = {
        "until": until.isoformat(),
        "days": [str(day.day) for day in days],
        "fates": clicks + _ask_shop(shop, _SHOP_FATES),
        "dead_letters": _ask_clicks(laboratory, _CLICK_REASONS) + _ask_shop(shop, _SHOP_REASONS),
        "revenue": _ask_shop(shop, _REVENUE),
        "undated": _ask_shop(shop, _UNDATED),
        "traffic": _ask_clicks(laboratory, _TRAFFIC),
    }
    path = home.shop / "truth.json"
    atomic.write(path, json.dumps(found, indent=1, default=str) + "\n")
    return path


def _ask_clicks(laboratory: duckdb.DuckDBPyConnection, query: str) -> list[Row]:
    result = laboratory.execute(query)
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _ask_shop(shop: psycopg.Connection, query: str) -> list[Row]:
    shop.execute("set time zone 'UTC'")
    result = shop.execute(query)
    names = [column.name for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


# A plant with a colon, or one of the two unreadable kinds, is a reason; the others are copies of a good event.
_REFUSED = "(plant like '%:%' or plant in ('broken_json', 'invalid_utf8'))"
_DATE = (
    "case when plant in ('broken_json', 'invalid_utf8', 'not_parsed:event_time') then folder_date else event_date end"
)
_CLICK_FATES = f"""
    with fates as (
        select {_DATE} as date, case when {_REFUSED} then 'dead_letter' else 'current' end as fate from arrivals
        union all
        select event_date as date, 'duplicate' as fate from arrivals where plant like 'twice%'
        union all
        select event_date as date, 'superseded' as fate from arrivals where plant = 'conflict'
    )

    select 'clickstream' as dataset, date, fate, count(*) as records from fates group by all order by all
"""
_CLICK_REASONS = f"""
    select 'clickstream' as dataset, {_DATE} as date, plant as reason, count(*) as records
    from arrivals where {_REFUSED} group by all order by all
"""
_TRAFFIC = f"""
    select event_date, event_type, count(*) as events, count(distinct visitor_id) as visitors
    from arrivals where plant is null or not {_REFUSED} group by all order by all
"""
_SHOP_FATES = """
    select 'orders' as dataset, ordered_at::date as date, 'current' as fate, count(*) as records
    from shop.orders group by 2
    union all
    select 'order_items', updated_at::date, case when unit_price = 'NaN' then 'dead_letter' else 'current' end, count(*)
    from shop.order_items group by 2, 3
    order by 1, 2, 3
"""
_SHOP_REASONS = """
    select 'order_items' as dataset, updated_at::date as date, 'not_a_number:unit_price' as reason, count(*) as records
    from shop.order_items where unit_price = 'NaN' group by 2 order by 2
"""
_UNDATED = """
    select 'customers' as dataset, count(*) as records from shop.customers
    where customer_id in (select customer_id from shop.orders)
    union all
    select 'products', count(*) from shop.products where product_id in (select product_id from shop.order_items)
    order by 1
"""
_REVENUE = """
    with lines as (
        select
            o.order_id, o.ordered_at::date as order_date, coalesce(o.shipping_country, 'ZZ') as country, o.currency, i.quantity,
            i.quantity * i.unit_price - coalesce(i.discount_amount, 0) as line_amount
        from shop.orders as o
        join shop.order_items as i on i.order_id = o.order_id
        where o.status <> 'cancelled' and i.unit_price <> 'NaN'
    )

    select
        order_date, country, currency, count(distinct order_id) as orders, sum(quantity) as units,
        coalesce(sum(line_amount) filter (where quantity > 0), 0)::numeric(38, 4)::text as gross_amount,
        coalesce(-sum(line_amount) filter (where quantity < 0), 0)::numeric(38, 4)::text as refunded_amount,
        sum(line_amount)::numeric(38, 4)::text as net_amount
    from lines
    group by 1, 2, 3
    order by 1, 2, 3
"""
