"""Columns are followed through CTEs, unions, windows and subqueries, in DuckDB's own SQL."""

import pytest

from warehouse.column_lineage import Origin, column_lineage

TABLES = {
    ("silver", "orders"): ["order_id", "customer_id", "amount", "order_date", "status"],
    ("silver", "customers"): ["customer_id", "country"],
    ("gold", "daily"): ["order_date", "orders", "amount"],
}
ORDERS, CUSTOMERS = "silver.orders", "silver.customers"


def origins(sql: str) -> dict[str, set[str]]:
    """Return each column's origins as `schema.table.column how`."""
    found = column_lineage(sql, ("gold", "daily"), TABLES)
    return {name: {f"{one.schema}.{one.table}.{one.column} {one.how}" for one in all_} for name, all_ in found.items()}


CASES = {
    "unchanged, through stars and CTEs": (
        "with o as (select * exclude (status) from build.silver.orders), f as (select * replace (trim(customer_id) as customer_id) from o)"
        " select order_id, customer_id from f",
        {"order_id": {f"{ORDERS}.order_id IDENTITY"}, "customer_id": {f"{ORDERS}.customer_id TRANSFORMATION"}},
    ),
    "aggregated, with what decides": (
        "select order_date, sum(amount) as total, count(*) filter (where status = 'paid') as paid, count(*) as orders"
        " from silver.orders group by order_date",
        {
            "order_date": {f"{ORDERS}.order_date IDENTITY"},
            "total": {f"{ORDERS}.amount AGGREGATION"},
            "paid": {f"{ORDERS}.status INDIRECT"},
            "orders": {f"{ORDERS}.order_date INDIRECT"},
        },
    ),
    "a window": (
        "select avg(amount) over (partition by status order by order_date) as mean from silver.orders",
        {
            "mean": {
                f"{ORDERS}.amount AGGREGATION",
                f"{ORDERS}.status INDIRECT",
                f"{ORDERS}.order_date INDIRECT",
            }
        },
    ),
    "a case": (
        "select case when status = 'paid' then amount end as paid from silver.orders",
        {"paid": {f"{ORDERS}.amount TRANSFORMATION", f"{ORDERS}.status INDIRECT"}},
    ),
    "a union by name, whose sides differ in order": (
        "select order_id, amount from silver.orders union all by name select amount, order_id from silver.orders",
        {"order_id": {f"{ORDERS}.order_id IDENTITY"}, "amount": {f"{ORDERS}.amount IDENTITY"}},
    ),
    "a union by place": (
        "select order_id as id from silver.orders union all select customer_id from silver.customers",
        {"id": {f"{ORDERS}.order_id IDENTITY", f"{CUSTOMERS}.customer_id IDENTITY"}},
    ),
    "a subquery": (
        "select customer_id in (select customer_id from silver.customers) as is_known from silver.orders",
        {"is_known": {f"{ORDERS}.customer_id TRANSFORMATION", f"{CUSTOMERS}.customer_id TRANSFORMATION"}},
    ),
    "an asof join": (
        "select o.order_id, c.country from silver.orders as o asof left join silver.customers as c"
        " on o.customer_id = c.customer_id and o.order_date >= c.country",
        {"order_id": {f"{ORDERS}.order_id IDENTITY"}, "country": {f"{CUSTOMERS}.country IDENTITY"}},
    ),
    "rows of the state, as the macro `before` reads them": (
        "select order_id from (select cast(null as text) as order_id where false union all by name"
        " select columns(lambda name: name in ('order_id')) from state.silver.orders)",
        {"order_id": {f"{ORDERS}.order_id IDENTITY"}},
    ),
    "its own earlier rows, and a constant": (
        "select order_date, 1 as orders, amount from silver.orders union all select order_date, orders, amount from state.gold.daily",
        {"order_date": {f"{ORDERS}.order_date IDENTITY"}, "orders": set(), "amount": {f"{ORDERS}.amount IDENTITY"}},
    ),
    "what cannot be read": ("select from where", {}),
}


@pytest.mark.parametrize("case", CASES)
def test_columns(case: str) -> None:
    sql, expected = CASES[case]
    assert origins(sql) == expected


def test_an_origin_that_enters_in_two_ways_counts_by_the_closest() -> None:
    (found,) = column_lineage(
        "select coalesce(amount, sum(amount) over ()) as a from silver.orders", ("a", "b"), TABLES
    )["a"]
    assert found == Origin("silver", "orders", "amount", "TRANSFORMATION")
