"""Gold is written with the columns and types that Clearwell's has."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import yaml

from bench.by_hand.job import ROOT, Job
from bench.peers import common
from bench.peers.tables import GOLD

AT = datetime(2026, 11, 1, tzinfo=UTC)
# A value of each type, as the peers hand it over, and as it is read.
VALUES = {
    "date": (datetime(2026, 11, 1), AT.date()),
    "timestamp": (datetime(2026, 11, 1, 5), datetime(2026, 11, 1, 5)),
    "varchar": ("DE", "DE"),
    "bigint": (7, 7),
    "decimal(38,4)": (-12345678, Decimal("-1234.5678")),
    "decimal(18,4)": (5, Decimal("0.0005")),
}


def job(folder: Path) -> Job:
    return Job(folder, "", folder, AT, AT, folder / "made.duckdb", AT)


def test_tables_have_the_types_of_the_contracts() -> None:
    for name, columns in GOLD.items():
        (model,) = yaml.safe_load((ROOT / "dbt_project" / "models" / "gold" / f"gold_{name}.yml").read_text())["models"]
        contract = {column["name"]: column["data_type"].replace(" ", "") for column in model["columns"]}
        assert contract == columns, name


def test_whole_numbers_for_amounts_are_ten_thousandths(tmp_path: Path) -> None:
    given = {
        name: pa.table({column: [VALUES[kind][0], None] for column, kind in columns.items()})
        for name, columns in GOLD.items()
    }
    common.write_gold(job(tmp_path), given)
    with duckdb.connect(str(tmp_path / "made.duckdb"), read_only=True) as db:
        for name, columns in GOLD.items():
            made = db.sql(f"from gold.{name}")
            assert [str(kind).lower() for kind in made.types] == list(columns.values())
            assert made.fetchall() == [tuple(VALUES[kind][1] for kind in columns.values()), (None,) * len(columns)]


def test_amounts_that_are_decimals_stay_what_they_are(tmp_path: Path) -> None:
    given = {
        name: pa.table({column: [VALUES[kind][1]] for column, kind in columns.items()})
        for name, columns in GOLD.items()
    }
    common.write_gold(job(tmp_path), given)
    with duckdb.connect(str(tmp_path / "made.duckdb"), read_only=True) as db:
        for name, columns in GOLD.items():
            assert db.sql(f"from gold.{name}").fetchall() == [tuple(VALUES[kind][1] for kind in columns.values())]


def test_nothing_of_an_earlier_run_is_left(tmp_path: Path) -> None:
    this = job(tmp_path)
    for _ in range(2):
        common.begin(this)
        assert not this.out.exists() and list(this.work.rglob("*")) == [this.lines]
        this.out.touch()
        (this.work / "silver_orders.parquet").touch()


def test_an_amount_beyond_64_bits_ends_the_run() -> None:
    common.check_size(10**10, 10**8)
    with pytest.raises(SystemExit, match="64 bits"):
        common.check_size(-(10**11), 10**8)
