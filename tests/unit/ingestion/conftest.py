"""Fixtures with their own contracts, home and small shop, independent of the project's contracts."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from demo import postgres as demo_postgres
from demo import server
from ingestion.contract import Contract, read_contracts
from ingestion.home import Home
from ingestion.land import Landing
from ingestion.sources import ingest
from ingestion.window import Window

CONTRACT = """
sources:
  - name: bronze
    tables:
      - name: {name}
        config: {{meta: {{contract_version: 1, source: {source}, format: {format}, key: [{key}], owner: shop-team,
                 cadence: 1 hour, lateness: 2 days, {expect}}}}}
        columns: [{columns}]
"""
MONEY = {
    "orders": (
        "money: {column: total_amount, amount: total_amount, currency: currency}",
        "{name: currency, data_type: varchar}, {name: total_amount, data_type: 'decimal(18,4)'}",
    ),
    "order_items": (
        "money: {column: unit_price, amount: 'cast(quantity as decimal(19, 0)) * unit_price - coalesce(discount_amount, 0)'}",
        "{name: quantity, data_type: bigint}, {name: unit_price, data_type: 'decimal(18,4)'}, "
        "{name: discount_amount, data_type: 'decimal(18,4)'}",
    ),
}
_OF_THE_SHOP = "connection: shop, primary: shop_primary, version_column: updated_at, changed: updated_at"
DATASETS = {
    "orders": (
        "orders", "rows", "order_id", f"{_OF_THE_SHOP}, table: shop.orders, placed: ordered_at, event_time: ordered_at, "
        "expect_records_every: 1 day",
    ),
    "order_items": (
        "orders", "rows", "order_id, line_number",
        f"{_OF_THE_SHOP}, table: shop.order_items, lands_with: {{dataset: orders, column: order_id}}",
    ),
    "customers": (
        "orders", "rows", "customer_id", f"{_OF_THE_SHOP}, table: shop.customers, placed: created_at, "
        "lands_with: {dataset: orders, column: customer_id, matches: customer_id}",
    ),
    "products": (
        "orders", "rows", "product_id", f"{_OF_THE_SHOP}, table: shop.products, "
        "lands_with: {dataset: order_items, column: product_id, matches: product_id}",
    ),
    "clickstream": ("clickstream", "json_lines", "event_id", "kind: hours, expect_records_every: 1 day"),
}  # fmt: skip
TIMES = {"orders": ["ordered_at", "updated_at"], "clickstream": []}
# Beyond the key, the columns that a table lands with.
MATCHED = {"orders": ["customer_id"], "order_items": ["product_id"]}
SHOP = """
drop schema if exists shop cascade;
create schema shop;
create table shop.customers (customer_id text primary key, email text, full_name text, country char(2),
    created_at timestamptz, updated_at timestamptz);
create table shop.products (product_id text primary key, name text, category text, unit_price numeric(18,4),
    currency char(3), stock_quantity int, updated_at timestamptz);
create table shop.orders (order_id text primary key, customer_id text, status text, currency char(3),
    payment_method text, shipping_country char(2), total_amount numeric(18,4), ordered_at timestamptz,
    updated_at timestamptz);
create table shop.order_items (order_id text, line_number int, product_id text, quantity int,
    unit_price numeric(18,4), discount_amount numeric(18,4), updated_at timestamptz,
    primary key (order_id, line_number));
"""


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a dbt project that has only contracts."""
    root = tmp_path_factory.mktemp("project")
    folder = root / "models" / "staging"
    folder.mkdir(parents=True)
    for name, (source, format, key, expect) in DATASETS.items():
        names = [*key.split(", "), *MATCHED.get(name, [])]
        columns = ", ".join(f"{{name: {column}, data_type: varchar}}" for column in names)
        times = [f"{{name: {column}, data_type: timestamp}}" for column in TIMES.get(name, ["updated_at"])]
        columns = ", ".join([columns, *times])
        money, amounts = MONEY.get(name, ("", ""))
        expect, columns = ", ".join(filter(None, (expect, money))), ", ".join(filter(None, (columns, amounts)))
        text = CONTRACT.format(name=name, source=source, format=format, key=key, expect=expect, columns=columns)
        (folder / f"staging_{name}.yml").write_text(text)
    return root


@pytest.fixture(scope="session")
def contracts(project: Path) -> dict[str, Contract]:
    return read_contracts(project)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    landing = tmp_path / "landing"
    landing.mkdir()
    return Home(tmp_path / "home", landing)


@pytest.fixture
def deliver(home: Home) -> Callable[..., Path]:
    """Put a file in the landing folder, as if delivered long before the run."""

    def put(path: str, content: bytes) -> Path:
        target = home.landing / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return target

    return put


@pytest.fixture
def land(home: Home, contracts: dict[str, Contract]) -> Callable[..., Landing]:
    """Ingest a window, by default long after every file was written."""

    def run(source: str, start: str, end: str, at: datetime = datetime(2100, 1, 1, tzinfo=UTC), **more: Any) -> Landing:
        return ingest(source, Window.parse(start, end), more.get("home", home), at, contracts=contracts)

    return run


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of an embedded Postgres."""
    root = tmp_path_factory.mktemp("postgres")
    home = Home(root, root / "landing")
    yield demo_postgres.start(home)
    demo_postgres.stop(home)


@pytest.fixture
def shop(postgres: str) -> Iterator[psycopg.Connection[Any]]:
    """An empty shop, open for writing."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(SHOP)
        yield connection


@pytest.fixture
def shop_home(home: Home, postgres: str) -> Home:
    return Home(home.root, home.landing, postgres)


@pytest.fixture
def replica(postgres: str, tmp_path: Path) -> Iterator[str]:
    """Yield the address of a standby of the server, made with pg_basebackup."""
    primary, data, port = psycopg.conninfo.conninfo_to_dict(postgres), tmp_path / "standby", server.free_port()
    data.mkdir(mode=0o700)
    log = tmp_path / "standby.log"
    log.touch()
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o055)
    server.give(data, log)
    data.chmod(0o700)
    where = ["-h", "127.0.0.1", "-p", str(primary["port"]), "-U", "postgres"]
    made = server.call(["pg_basebackup", "-D", str(data), "-R", "-c", "fast", "-X", "stream", *where])
    assert made.returncode == 0, made.stderr
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    started = server.call(["pg_ctl", "start", "-D", str(data), "-w", "-t", "60", "-l", str(log), "-o", options])
    assert started.returncode == 0, log.read_text()
    yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    server.call(["pg_ctl", "stop", "-D", str(data), "-m", "immediate", "-w"])
