"""How many accounts a customer's visitors had is what plain Python says, and no join of all orders with all visitors."""

from datetime import datetime, timedelta

import duckdb
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ingestion.contract import PROJECT
from tests.unit.macros.profiled import most_rows
from tests.unit.macros.render import macros

Seen = tuple[str, str, int]
Order = tuple[str | None, int]
FIRST = datetime(2026, 1, 1)
NAMES = st.sampled_from(["a", "b", "c", "d"])
MINUTES = st.integers(0, 9)


def query(connection: duckdb.DuckDBPyConnection, seen: list[Seen], orders: list[Order]) -> str:
    """Fill the tables: visitors with the customers they logged in as, and orders of customers, each at a minute. Return the query."""
    first: dict[tuple[str, str], int] = {}
    for visitor, customer, minute in seen:
        first[visitor, customer] = min(minute, first.get((visitor, customer), minute))
    of: dict[str, list[int]] = {}
    for (visitor, _), minute in first.items():
        of.setdefault(visitor, []).append(minute)
    accounts = [
        (visitor, customer, FIRST + timedelta(minutes=minute), sum(one <= minute for one in of[visitor]))
        for (visitor, customer), minute in first.items()
    ]
    made = [(f"o{n}", customer, FIRST + timedelta(minutes=minute)) for n, (customer, minute) in enumerate(orders)]
    for table, columns, rows in (
        ("accounts", "visitor_id text, customer_id text, first_seen_at timestamp, accounts_by_then int", accounts),
        ("orders", "order_id text, customer_id text, ordered_at timestamp", made),
    ):
        connection.execute(f"create table {table} ({columns})")
        if rows:
            connection.executemany(f"insert into {table} values ({', '.join('?' * len(rows[0]))})", rows)
    return str(macros().visitor_accounts("orders", "accounts"))


@given(
    st.lists(st.tuples(NAMES, NAMES, MINUTES), max_size=20),
    st.lists(st.tuples(st.none() | NAMES, MINUTES), max_size=20),
)
def test_the_most_accounts_by_then_are_those_of_plain_python(seen: list[Seen], orders: list[Order]) -> None:
    with duckdb.connect() as connection:
        found = dict(connection.sql(query(connection, seen, orders)).fetchall())
    expected = {}
    for number, (customer, minute) in enumerate(orders):
        known = {visitor for visitor, other, at in seen if other == customer and at <= minute}
        if known:
            expected[f"o{number}"] = max(
                len({other for one, other, at in seen if one == visitor and at <= minute}) for visitor in known
            )
    assert found == expected


@pytest.mark.parametrize("skewed", ["guests", "shop floor"])
def test_neither_an_account_of_all_guests_nor_a_device_of_all_customers_is_joined_with_itself(skewed: str) -> None:
    many = 1000
    guests = skewed == "guests"
    names = [("guest" if guests else f"c{number}") for number in range(many)]
    seen = [((f"v{number}" if guests else "till"), name, number) for number, name in enumerate(names)]
    outputs = yaml.safe_load((PROJECT / "profiles.yml").read_text())["clearwell"]["outputs"]
    looped = outputs["build"]["config_options"]["asof_loop_join_threshold"]
    with duckdb.connect(config={"asof_loop_join_threshold": looped}) as connection:
        sql = query(connection, seen, [(name, number) for number, name in enumerate(names)])
        counts = {count for (count,) in connection.sql(f"select visitor_accounts from ({sql})").fetchall()}
        most = most_rows(connection, sql)
    assert counts == ({1} if guests else {*range(1, many + 1)})
    assert most <= 2 * many
