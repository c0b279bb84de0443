"""What the peers share: which gold tables they make, how these are written, and how the seeds are read.

pandas, polars and PySpark have no reader of lines that keeps a broken line as it is, so they also share the landing of the
hand-written script: raw lines and raw rows as Parquet.
"""

import shutil
from collections.abc import Mapping
from datetime import timedelta

import duckdb
import pyarrow as pa

from bench.by_hand.job import SEEDS, Job

# The gold tables that every peer makes, with the types of their columns.
_REVENUE = {
    "country": "varchar",
    "currency": "varchar",
    "orders": "bigint",
    "units": "bigint",
    "gross_amount": "decimal(38,4)",
    "refunded_amount": "decimal(38,4)",
    "net_amount": "decimal(38,4)",
    "net_usd": "decimal(38,4)",
    "lines_without_usd": "bigint",
    "tax_amount": "decimal(38,4)",
    "tax_usd": "decimal(38,4)",
    "lines_without_tax": "bigint",
}
GOLD = {
    "daily_revenue": {
        "order_date": "date",
        **_REVENUE,
        "net_amount_7_days": "decimal(38,4)",
        "net_amount_28_days": "decimal(38,4)",
    },
    "hourly_revenue": {
        "order_hour": "timestamp",
        **_REVENUE,
        "net_amount_24_hours": "decimal(38,4)",
        "net_amount_7_days": "decimal(38,4)",
    },
    "daily_products": {
        "activity_date": "date",
        "product_id": "varchar",
        "orders": "bigint",
        "units": "bigint",
        "returned_units": "bigint",
        "net_usd": "decimal(38,4)",
        "lines_without_usd": "bigint",
        "views": "bigint",
        "carts": "bigint",
        "cart_rate": "decimal(18,4)",
        "units_28_days": "bigint",
        "stock_quantity": "bigint",
        "stock_cover_days": "decimal(18,4)",
    },
    "daily_traffic": {"event_date": "date", "event_type": "varchar", "events": "bigint", "visitors": "bigint"},
    "daily_sessions": {
        "session_date": "date",
        "country": "varchar",
        "sessions": "bigint",
        "visitors": "bigint",
        "events": "bigint",
        "bounces": "bigint",
        "cut_sessions": "bigint",
        "total_seconds": "bigint",
    },
    "daily_funnel": {
        "session_date": "date",
        "country": "varchar",
        "campaign": "varchar",
        "sessions": "bigint",
        "view_sessions": "bigint",
        "cart_sessions": "bigint",
        "checkout_sessions": "bigint",
        "purchase_sessions": "bigint",
        "conversion_rate": "decimal(18,4)",
    },
}
# The moving means of the revenue tables: how long each is, in days or hours.
DAILY_MEANS = {"net_amount_7_days": 7, "net_amount_28_days": 28}
HOURLY_MEANS = {"net_amount_24_hours": 24, "net_amount_7_days": 168}

EVENT_TYPES = [
    "page_view",
    "click",
    "search",
    "ad_impression",
    "add_to_cart",
    "remove_from_cart",
    "checkout",
    "purchase",
]
STATUSES = ["created", "paid", "shipped", "completed", "cancelled", "refunded", ""]
EMPTY_IS_MISSING = ["customer_id", "product_id", "order_id", "campaign", "country"]
DECIMAL_4 = r"^[+-]?(\d+(\.\d{0,4})?|\.\d{1,4})$"
DECIMAL_8 = r"^[+-]?(\d+(\.\d{0,8})?|\.\d{1,8})$"
WHOLE = r"^[+-]?\d+$"
SESSION_GAP, LONGEST_SESSION = timedelta(minutes=30), timedelta(days=1)
OLDEST_RATE = timedelta(days=5)
TAX_RATES, CURRENCIES = SEEDS / "tax_rates.csv", SEEDS / "currencies.csv"
# An amount in ten-thousandths times a quote in eight decimals must fit in 64 bits.
LARGEST = 9 * 10**18


def begin(job: Job) -> None:
    """Remove what an earlier run made, and make the folder of raw and silver files."""
    shutil.rmtree(job.work, ignore_errors=True)
    job.out.unlink(missing_ok=True)
    job.lines.mkdir(parents=True)


def write_gold(job: Job, tables: Mapping[str, pa.Table]) -> None:
    """Write the gold tables. A whole number for a decimal column counts ten-thousandths."""
    with duckdb.connect() as db:
        db.execute(f"attach '{job.out}' as made; use made; create schema gold")
        for name, columns in GOLD.items():
            table = tables[name]
            db.register("given", table)
            typed = ", ".join(
                f"cast({_value(column, table.schema.field(column).type, kind)} as {kind}) as {column}"
                for column, kind in columns.items()
            )
            db.execute(f"create table gold.{name} as select {typed} from given")


def _value(column: str, given: pa.DataType, kind: str) -> str:
    """Return the SQL of a column as it is, or of ten-thousandths as an amount."""
    is_counted = kind.startswith("decimal") and pa.types.is_integer(given)
    return f"cast({column} as decimal(34, 0)) * 0.0001::decimal(5, 4)" if is_counted else column


def check_size(amount: int, quote: int) -> None:
    """Stop if an amount in dollars would not fit in 64 bits."""
    if amount * quote >= LARGEST:
        raise SystemExit("an amount is too large for whole numbers of 64 bits")
