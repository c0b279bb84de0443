"""What the peers share: the rules of a valid row, and how gold is written.

pandas, polars and PySpark have no reader of lines that keeps a broken line as it is, so they also share the landing of the
hand-written script: raw lines and raw rows as Parquet.
"""

import math
import shutil
from collections.abc import Mapping
from datetime import timedelta

import duckdb
import pyarrow as pa

from bench.by_hand.job import SEEDS, Job
from bench.peers.tables import GOLD

STATUSES = ["created", "paid", "shipped", "completed", "cancelled", "refunded", ""]
DECIMAL_4 = r"^[+-]?(\d+(\.\d{0,4})?|\.\d{1,4})$"
DECIMAL_8 = r"^[+-]?(\d+(\.\d{0,8})?|\.\d{1,8})$"
WHOLE = r"^[+-]?\d+$"
SESSION_GAP, LONGEST_SESSION = timedelta(minutes=30), timedelta(days=1)
OLDEST_RATE = timedelta(days=5)
TAX_RATES, CURRENCIES = SEEDS / "tax_rates.csv", SEEDS / "currencies.csv"
# What amounts in ten-thousandths are multiplied by, besides quotes: at most a tax of 100 %, in ten-thousandths too.
WHOLE_TAX = 10**4
# Products must fit in 64 bits.
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


def check_size(*factors: int) -> None:
    """Stop if a product would not fit in 64 bits."""
    if math.prod(abs(int(factor)) for factor in factors) >= LARGEST:
        raise SystemExit("an amount is too large for whole numbers of 64 bits")
