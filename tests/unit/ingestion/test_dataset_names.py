"""Datasets are named as OpenLineage names them, and no name has a secret."""

from dataclasses import replace
from pathlib import Path

import pytest

from ingestion import dataset_names
from ingestion.contract import read_contracts
from ingestion.file_settings import Files
from ingestion.home import Home
from ingestion.table_settings import Table

CONTRACTS = read_contracts()
HOME = Home(Path("/home"), Path("/landing"), "postgresql://me:canary@db:5433/shop?sslmode=prefer")
LOCATIONS = {
    "/exports/{date}/*.csv": ("file", "/exports/{date}/*.csv"),
    "s3://bucket/orders/{date}.csv": ("s3://bucket", "orders/{date}.csv"),
    "https://me:canary@host:81/rates.csv?key=canary": ("https://host:81", "rates.csv"),
    "sftp://me:canary@host/out/{date}.csv": ("sftp://host", "out/{date}.csv"),
    "${NOT_SET}/a.csv": None,
}


def test_the_shop() -> None:
    assert dataset_names.of_source(CONTRACTS["orders"], HOME) == ("postgres://db:5433", "shop.shop.orders")
    assert dataset_names.of_source(CONTRACTS["clickstream"], HOME) == ("file", "/landing")


@pytest.mark.parametrize(("location", "name"), LOCATIONS.items())
def test_files(location: str, name: tuple[str, str] | None) -> None:
    contract = replace(CONTRACTS["orders"], kind="file", settings=Files(location))
    found = dataset_names.of_source(contract, HOME)
    assert "canary" not in "".join(found) and (name is None or found == name)


def test_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ERP", "postgresql://me:canary@erp/sales")
    table = replace(CONTRACTS["orders"], kind="table", settings=Table("erp", ("orders",)))
    assert dataset_names.of_source(table, HOME) == ("postgres://erp:5432", "sales.public.orders")
    own = replace(table, settings=Table("erp", ("crm", "orders")))
    assert dataset_names.of_source(own, HOME)[1] == "sales.crm.orders"
    monkeypatch.setenv("AIRFLOW_CONN_ERP", "mysql://me:canary@erp/sales")
    assert dataset_names.of_source(table, HOME) == ("postgres://erp", "orders")


def test_a_query_is_named_by_its_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ERP", "postgresql://erp/sales")
    contract = replace(CONTRACTS["orders"], kind="table", settings=Table("erp", query="select 'canary'"))
    assert dataset_names.of_source(contract, HOME)[1] == "sales.public.query of orders"


def test_bronze_and_the_warehouse() -> None:
    assert dataset_names.of_bronze("orders", HOME) == ("file", "/home/bronze/orders")
    assert dataset_names.of_table("gold", "daily_revenue", HOME) == (
        "duckdb:///home/warehouse.duckdb",
        "warehouse.gold.daily_revenue",
    )
