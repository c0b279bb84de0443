"""Compare a published file with the shop's truth: every table, to the last decimal."""

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import duckdb

from ingestion.home import Home


def differences(home: Home) -> list[str]:
    """List every difference between what is published and what the shop knows."""
    truth = json.loads((home.shop / "truth.json").read_text())
    with duckdb.connect(str(home.published), read_only=True) as published:
        found = {
            "revenue": published.sql(_REVENUE).fetchall(),
            "traffic": published.sql(_TRAFFIC).fetchall(),
            "fates": published.sql(_FATES).fetchall(),
        }
    with duckdb.connect(str(home.state), read_only=True) as state:
        found["dead_letters"] = state.sql(_DEAD_LETTERS).fetchall()
    expected = {
        "revenue": _rows(truth["revenue"]),
        "traffic": _rows(truth["traffic"]),
        "fates": _rows(row for row in truth["fates"] if row["dataset"] == "clickstream" or row["fate"] == "current"),
        "dead_letters": _rows(truth["dead_letters"]),
    }
    return [
        f"{what}: {sign} {row}"
        for what in expected
        for sign, rows in (
            ("missing", set(expected[what]) - set(_plain(found[what]))),
            ("unexpected", set(_plain(found[what])) - set(expected[what])),
        )
        for row in sorted(rows, key=str)
    ]


def _rows(objects: Iterable[dict[str, Any]]) -> list[tuple[str, ...]]:
    return [tuple(str(value) for value in one.values()) for one in objects]


def _plain(rows: Iterable[tuple[Any, ...]]) -> list[tuple[str, ...]]:
    return [tuple(f"{value:.4f}" if isinstance(value, Decimal) else str(value) for value in row) for row in rows]


_REVENUE = """
    select order_date, country, currency, orders, units, gross_amount, refunded_amount, net_amount from gold.daily_revenue
"""
_TRAFFIC = "select event_date, event_type, events, visitors from gold.daily_traffic"
# How often a database row is landed depends on the windows; the shop knows only which records are current.
_FATES = """
    select dataset, record_date, fate, sum(records)::bigint from ops.ledger
    where dataset = 'clickstream' or (dataset in ('orders', 'order_items') and fate = 'current')
    group by all
"""
# A refused database row is refused each time it is landed, but counts once.
_DEAD_LETTERS = """
    with letters as (
        select distinct
            dataset, record_date, reasons, case when dataset = 'clickstream' then batch_id || ':' || record_no end as record, raw
        from silver.dead_letters
    )

    select dataset, record_date, reason, count(*)
    from letters, unnest(reasons) as reasons (reason)
    group by all
"""
