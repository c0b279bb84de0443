"""The shop of tests/pipeline/test_any_order.py, built by both engines in turn: the tables are those that plain Python computes."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from operations import ledger
from tests.pipeline.test_any_order import accounts, drive, expected, found, make_shop, table_hashes
from warehouse.engines import DUCKDB, SPARK

pytestmark = pytest.mark.spark


def check(seed: int, engines: list[str]) -> None:
    shop = make_shop(seed)
    with tempfile.TemporaryDirectory() as folder:
        by_duckdb = drive(Path(folder) / "one", shop, seed)
        in_turn = drive(Path(folder) / "other", shop, seed, engines)
        assert found(in_turn) == expected(shop)
        assert ledger.recount(in_turn) == ([], True)
        assert table_hashes(in_turn) == table_hashes(by_duckdb)
        assert accounts(in_turn) == accounts(by_duckdb)
        in_another_order = drive(Path(folder) / "another", shop, seed + 1)
        assert table_hashes(in_turn) == table_hashes(in_another_order)


def test_one_shop() -> None:
    check(20261101, [SPARK, DUCKDB, SPARK])


@pytest.mark.long
@given(seed=st.integers(0, 10**9), engines=st.sampled_from([[SPARK], [DUCKDB, SPARK, SPARK], [SPARK, SPARK, DUCKDB]]))
@settings(max_examples=3, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_any_shop(seed: int, engines: list[str]) -> None:
    check(seed, engines)
