"""Contracts that say how a source writes its values, over ugly lines and rows: what Spark builds of them is what DuckDB builds."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion.home import Home
from operations import hashes
from tests.pipeline import checkout as own
from tests.pipeline.checkout import ROOT, make_checkout
from tests.pipeline.test_your_data import change_contracts
from tests.spark.test_engines import rows_that_differ

pytestmark = pytest.mark.spark

CONTRACTS = """
In `staging_orders.yml`:

```yaml
meta: {contract_version: 1, source: api, format: json_lines, location: "${API}/{date}.jsonl", each: $, key: [order_id],
      version_column: updated_at, event_time: ordered_at, cadence: 1 day, lateness: 2 days, owner: shop-team, breaker: {share: 0.9},
      where: [{from: [kind, $.shop.kind], is_not: ["", "/(?i)draft.*/"]}]}
columns:
  order_id: {required: true, join: [$.shop.id, id], json_types: [string, integer]}
  customer_id: {personal: true, from: [$.customer.id, "$.buyers[0].id"], json_types: [string, number, object]}
  status: {from: state, values: {paid: "/pa.+/"}, allowed: [created, paid, cancelled, refunded]}
  currency: {required: true}
  payment_method: {from: ["$.tags[name=pay].value", "$.tags[name=7].value.text"], json_types: [string, integer]}
  shipping_country: {from: $.to.country}
  total_amount: {from: total, decimal: ",", thousands: ".", symbol: [€, EUR]}
  ordered_at: {required: true, from: created_at, time_format: [iso, "%a, %d %b %Y %I:%M %p %z"]}
  updated_at: {}
```

In `staging_order_items.yml`:

```yaml
meta: {contract_version: 1, source: api, format: json_lines, location: "${API}/{date}.jsonl", each: $.lines,
      key: [order_id, line_number], version_column: updated_at, record_date: updated_at, cadence: 1 day, lateness: 2 days, part_of: orders, breaker: {share: 0.9},
      owner: shop-team, money: {column: unit_price, amount: "cast(quantity as decimal(19, 0)) * unit_price"},
      where: [{from: $.lines.type, is: [item, "", "7"]}]}
columns:
  order_id: {required: true, join: [$.shop.id, id], json_types: [string, integer]}
  line_number: {required: true, join: [$.lines.uuid, $.lines.part], hash: true}
  product_id: {from: [$.lines.sku, $.lines.product.sku], json_types: [string, number]}
  quantity: {required: true, from: $.lines.n, excluded: [0]}
  unit_price: {required: true, from: $.lines.price}
  discount_amount: {absent: true}
  updated_at: {}
```

In `staging_products.yml`:

```yaml
meta: {contract_version: 1, source: catalogue, format: rows, location: "${CATALOGUE}/{date}.csv", key: [product_id], version_column: updated_at,
      cadence: 1 day, lateness: 2 days, owner: shop-team, where: [{from: Type, is: [item, "/(?i)articlé/"]}, {from: Nr, is_not: [""]}]}
columns:
  product_id: {required: true, join: [Brand, Nr]}
  name: {from: [Long name, Name], values: {'\\1': '/Name (\\d+)/'}}
  category: {from: Type}
  unit_price: {from: Price, decimal: ",", thousands: " ", symbol: €}
  currency: {constant: EUR}
  stock_quantity: {row_id: true}
  updated_at: {from: Changed, time_format: ["%d.%m.%Y %H:%M:%S", excel], timezone: Europe/Berlin}
```
"""
# Shops, as their id makes that of an order: the first of two values under one key counts.
SHOPS = (
    '{"id":"caf\\u00e9 \\ud83d\\ude00"}',
    '{"id":12345678901234567890}',
    '{"id":"a","id":"b"}',
    '{"id":null,"id":"c"}',
    '{"id":[1]}',
    "null",
)
ITEMS = (
    '{"uuid":"u-1","part":1,"sku":"A 1","n":2,"price":"19.99","type":"item"}',
    '{"uuid":"u-1","part":2,"sku":1.50,"n":1,"price":0.10,"type":7}',
    '{"uuid":"\\u0075-2","product":{"sku":"first","sku":"second"},"n":1.0,"price":1e1}',
    '{"uuid":99999999999999999999,"sku":1e16,"n":3,"price":3,"type":""}',
    '{"uuid":"fee","n":1,"price":5,"type":"fee"}',
    '[{"uuid":"nested","n":1,"price":1}]',
    "[]",
    "null",
    '"text"',
    '{"uuid":"","sku":"B","n":1,"price":1}',
    '{"uuid":"u-3","sku":0.1234567890123456789,"n":1,"price":12.345}',
    "{" + ",".join(f'"k{n}":{{"uuid":{n}}}' for n in range(1_500)) + "}",
)


def order(number: int, day: int, version: int) -> str:
    some = [ITEMS[(number * 3 + place) % len(ITEMS)] for place in range(number % 4)]
    written: dict[str, str] = {
        "id": (f'"{number}"', str(number), f'"o\\t{number}"')[number % 3],
        "kind": ('"sale"', '"Draft 1"', "null", '""', '"sale"')[number % 5],
        "shop": SHOPS[number % len(SHOPS)],
        "customer": ("null", f'{{"id":{number}.0}}', f'{{"id":"c\\u0001{number}"}}', '{"id":{"b":1,"a":1e10}}')[
            number % 4
        ],
        "buyers": f'[[1],{{"id":{number}}}]' if number % 2 else f'[{{"id":"b{number}"}}]',
        "state": ('"paid"', '"past"', '"created"')[(number + version) % 3],
        "currency": '"EUR"',
        "to": '{"country":"FR"}',
        "tags": f'[1,{{"name":"pay","value":"card {number % 3}"}},{{"name":7,"value":{{"text":{number}}}}}]'
        if number % 4
        else f'[{{"name":7,"value":{{"text":"cash","text":1}}}},{{"name":"pay"}},{number}]',
        "total": (f"{number}", f'"1.{number:03},50 €"', f'"({number})"', f'"{number}.5"')[number % 4],
        "created_at": f'"2026-11-0{day}T{number % 24:02}:30:00+01:00"'
        if number % 3
        else f'"Sun, {day} nov 2026 {number % 12 + 1}:30 pM +0100"',
        "updated_at": f'"2026-11-0{day + version}T23:{number % 60:02}:00Z"',
        "lines": f"[{','.join(some)}]" if number % 7 else "null",
    }
    return "{" + ", ".join(f'"{name}": {value}' for name, value in written.items()) + "}"


def write(checkout: Path, day: int) -> None:
    """Write what the API and the catalogue answer on a day: new orders, and changed ones of the day before."""
    lines = [order(number, day, 0) for number in range(day * 100, day * 100 + 60)]
    lines += [order(number, day - 1, 1) for number in range(day * 100 - 100, day * 100 - 80) if day > 1]
    lines = [*lines[:20], f"[{', '.join(lines[20:30])}]", "[]", *lines[30:]]
    odd = (
        b'no json\n{"id":"\xff"}\n5\n{"id":1,"id":2}\n\xef\xbb\xbf'
        + order(day * 1000, day, 0).encode()
        + b'\n{"id":"cut'
    )
    api, catalogue = checkout / "api", checkout / "catalogue"
    api.mkdir(exist_ok=True)
    catalogue.mkdir(exist_ok=True)
    answer = api / f"2026-11-0{day}.jsonl"
    answer.write_bytes("\n".join(lines).encode() + b"\n" + odd)
    # a file that has not changed for a while is complete
    os.utime(answer, (datetime(2026, 11, 10, tzinfo=UTC).timestamp(),) * 2)
    rows = []
    for n in range(day * 10, day * 10 + 90):
        brand, kind = ("", "Älg", "O'Neill")[n % 3], ("item", "ARTICLÉ", "postage", "")[n % 4]
        price = (f'"{n},5"', f'"€ 1\u00a0{n:03},50"', f'"{n},5-"', f"{n}.5")[n % 11 % 4]
        changed = f"0{day}.11.2026 00:00:{n % 60:02}" if n % 5 else f"{46326 + day}.{n}"
        rows.append(f"{brand},{n % 40 if n % 9 else ''},{kind},,Name {n},{price},{changed}")
    text = "\n".join([f"Brand,Nr,Type,{'Long name' if day > 1 else 'Long'},Name,Price,Changed", *rows]) + "\n"
    (catalogue / f"2026-11-0{day}.csv").write_bytes(text.encode() + b"\xff,1,item,,x,1,01.11.2026 00:00:00\n")


SOURCES = {"CLEARWELL_SOURCES": "api, catalogue, exchange_rates"}
LAND = """
from datetime import UTC, datetime
from pathlib import Path
from ingestion import sources
from ingestion.home import Home
from ingestion.window import Window
from operations import hashes, ledger
from warehouse.build import Request, build

ONE, OTHER = (Home(Path(name).resolve(), Path(name).resolve() / "landing") for name in ("one", "other"))
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)

def land(home, day):
    for source in ("api", "catalogue"):
        sources.ingest(source, Window.parse(f"2026-11-0{day}", f"2026-11-0{day + 1}"), home, NOW)
"""
FIRST = """
import shutil
land(ONE, 1)
build(ONE, Request(), NOW)
shutil.copytree(ONE.root, OTHER.root)
land(ONE, 2)
shutil.copytree(ONE.root / "bronze", OTHER.root / "bronze", dirs_exist_ok=True)
build(ONE, Request(), NOW.replace(hour=13))
build(OTHER, Request(engine="spark"), NOW.replace(hour=13))
"""
WHOLE = """
for home, engine in ((ONE, "duckdb"), (OTHER, "spark")):
    build(home, Request(full=True, reason="test", engine=engine), NOW.replace(hour=14))
"""


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Home, Home]:
    """Two homes with the same bronze: DuckDB built both days of one, and Spark the second day of the other."""
    checkout = make_checkout(tmp_path_factory.mktemp("checkout"), "")
    change_contracts(checkout, CONTRACTS)
    write(checkout, 1)
    write(checkout, 2)
    released = own.type_in(
        checkout, *(f"clearwell contracts release {name}" for name in ("orders", "order_items", "products")), **SOURCES
    )
    assert [status for _, status in released] == [0, 0, 0], released
    run(checkout, FIRST)
    one, other = (Home(checkout / name, checkout / name / "landing") for name in ("one", "other"))
    return checkout, one, other


def run(checkout: Path, code: str) -> None:
    folders = {
        "API": str(checkout / "api"),
        "CATALOGUE": str(checkout / "catalogue"),
        "CLEARWELL_SPARK_VENV": str(ROOT / ".venv-spark"),
    }
    own.run(checkout, LAND + code, **SOURCES, **folders)


def assert_same(one: Home, other: Home) -> None:
    assert rows_that_differ(one.state, other.state) == {}
    assert hashes.read(one) == hashes.read(other)
    assert rows_that_differ(one.published, other.published) == {}


def test_what_is_new_is_the_same(homes: tuple[Path, Home, Home]) -> None:
    _, one, other = homes
    assert_same(one, other)


@pytest.mark.long
def test_all_of_it_is_the_same(homes: tuple[Path, Home, Home]) -> None:
    checkout, one, other = homes
    run(checkout, WHOLE)
    assert_same(one, other)
