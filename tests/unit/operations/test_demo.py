"""The demo does not write to a real shop, and its shop is started again when a command needs it."""

import os
from datetime import date
from pathlib import Path

import duckdb
import psycopg
import pytest

from cli.shop import wake_shop
from demo import postgres, rates
from ingestion.errors import Permanent
from ingestion.home import Home
from operations import demo


def test_a_real_shop_is_refused_and_a_simulated_one_is_not(shop: Home) -> None:
    demo._refuse_a_real_shop(shop)
    with psycopg.connect(shop.database_url(), autocommit=True) as server:
        server.execute("create database real")
    real = Home(shop.root, shop.landing, shop.database_url().removesuffix("postgres") + "real")
    demo._refuse_a_real_shop(real)
    with psycopg.connect(str(real.shop_url)) as database:
        database.execute("create schema shop; create table shop.orders (order_id text)")
    with pytest.raises(Permanent, match="real shop"):
        demo._refuse_a_real_shop(real)


def test_the_tables_of_each_layer_are_listed_with_their_rows() -> None:
    """Clicks in silver are a view, of which DuckDB's list of tables knows nothing."""
    with duckdb.connect() as state:
        state.execute("create schema gold; create schema silver; create schema records; create schema ops")
        for table, rows in (
            ("gold.a", 1),
            ("silver.orders", 2),
            ("silver.b", 3),
            ("records.clickstream", 4),
            ("ops.c", 5),
        ):
            state.execute(f"create table {table} as from range({rows}) as t (n)")
        state.execute("create view silver.clickstream as from records.clickstream where n < 3")
        assert state.execute(demo._LAYERS).fetchall() == [
            ("records", "clickstream", 4),
            ("silver", "b", 3),
            ("silver", "clickstream", 3),
            ("silver", "orders", 2),
            ("gold", "a", 1),
        ]


def test_a_shop_that_was_stopped_answers_whoever_lands_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("EXCHANGE_RATES", raising=False)
    home = Home(tmp_path, tmp_path / "landing")
    wake_shop(home)
    assert not (home.shop / "postgres").exists() and "EXCHANGE_RATES" not in os.environ
    try:
        postgres.start(home)
        postgres.stop(home)
        rates.write(home, date(2026, 11, 20), date(2026, 11, 21))
        wake_shop(home)
        wake_shop(home)
        assert postgres.is_running(home) and capsys.readouterr().err.count("starting the shop") == 1
        assert os.environ["EXCHANGE_RATES"] == str(rates.published(home))
    finally:
        postgres.stop(home)
        os.environ.pop("EXCHANGE_RATES", None)
