"""Follow docs/your-data.md in a checkout of its own: other people's data in the gold that exists, by contracts alone."""

import csv
import json
import re
import shutil
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest
import yaml

from ingestion.home import Home
from tests.pipeline import checkout as own
from tests.pipeline.checkout import ROOT, make_checkout

PAGE = (ROOT / "docs" / "your-data.md").read_text()
SHOP, TRACKER = "## A web shop's export", "## Events in a tracker's own shape"
DATABASE = "## A database with other tables"
TOTALS = "## An ERP's lines with totals and postage"
LISTS = "## Orders in JSON with their lines, and Google Analytics 4"


def section(title: str) -> str:
    """Return one example of the page."""
    return re.split(r"^## ", PAGE[PAGE.index(title) + 3 :], maxsplit=1, flags=re.MULTILINE)[0]


def change_contracts(checkout: Path, text: str) -> None:
    """Write what an example says of the contracts into their files, and delete their releases."""
    for name, body in re.findall(r"^In `(staging_\w+)\.yml`:\n\n```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        path = checkout / "dbt_project" / "models" / "staging" / f"{name}.yml"
        file, said = yaml.safe_load(path.read_text()), yaml.safe_load(body)
        (table,) = file["sources"][0]["tables"]
        table["config"]["meta"] = said["meta"]
        columns = {column["name"]: column for column in table["columns"]}
        for column, meta in said["columns"].items():
            columns[column]["config"] = {"meta": meta}
        path.write_text(yaml.safe_dump(file, sort_keys=False))
        shutil.rmtree(checkout / "dbt_project" / "contracts" / table["name"])


def commands(text: str) -> list[str]:
    (written,) = re.findall(r"^```\n(clearwell .*?)^```$", text, re.MULTILINE | re.DOTALL)
    return written.splitlines()


def shown(text: str) -> list[list[str]]:
    """Return the rows of an example's table, the header first."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
    return rows


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkout(tmp_path_factory.mktemp("checkout"), PAGE)


def type_in(checkout: Path, *typed: str, **more: str) -> list[tuple[str, int]]:
    environment = {
        "INVOICES": str(checkout / "exports"),
        "LEDGER": str(checkout / "ledger"),
        "CLICKSTREAM_LANDING": str(checkout / "events"),
        "CLEARWELL_SOURCES": "invoices, clickstream, exchange_rates",
    }
    return own.type_in(checkout, *typed, **{**environment, **more})


def ask(checkout: Path, *questions: str) -> list[list[dict]]:
    return [json.loads(text) for text, _ in type_in(checkout, *(f'clearwell sql --json "{one}"' for one in questions))]


@pytest.fixture(scope="module")
def followed(checkout: Path) -> tuple[Path, list[tuple[str, int]]]:
    """Follow the example of the shop, command by command."""
    text = section(SHOP)
    change_contracts(checkout, text)
    answers = type_in(checkout, *commands(text))
    assert [status for _, status in answers] == [0] * len(answers), answers
    return checkout, answers


def test_a_shops_export_is_in_gold_to_the_penny(followed: tuple[Path, list[tuple[str, int]]]) -> None:
    checkout, _ = followed
    last = commands(section(SHOP))[-1]
    found, letters, ledger, status = type_in(
        checkout,
        last.replace("clearwell sql", "clearwell sql --json"),
        "clearwell dead-letters list --json",
        "clearwell ledger --json",
        "clearwell ledger --recount",
    )
    rows = json.loads(found[0])
    assert [list(rows[0]), *([str(value) for value in row.values()] for row in rows)] == shown(section(SHOP))
    # the refused row is refused as an order line alone
    assert [(row["dataset"], row["reasons"]) for row in json.loads(letters[0])] == [
        ("order_items", "not_parsed:quantity")
    ]
    counts = {row["dataset"]: row for row in json.loads(ledger[0])}
    assert {name: counts[name]["bronze"] for name in ("orders", "order_items", "products")} == {
        "orders": 10,
        "order_items": 10,
        "products": 10,
    }
    # 10 rows are 7 invoices; two equal rows are two lines
    assert (counts["orders"]["current"], counts["order_items"]["current"], counts["products"]["current"]) == (7, 9, 6)
    assert status[1] == 0


def test_each_model_that_counts_orders_leaves_out_the_credit_note(followed: tuple[Path, list[tuple[str, int]]]) -> None:
    customers, products, hours, reconciled = ask(
        followed[0],
        "select customer_id, orders, first_order_date::varchar as first from gold.customers order by all",
        "select activity_date::varchar as date, product_id, orders, units from gold.daily_products where product_id = '22728' order by all",
        "select sum(orders)::int as orders from gold.hourly_revenue",
        "select sum(credit_note_records)::int as notes, sum(gold_difference)::int as lost from ops.reconciliation where dataset = 'orders'",
    )
    assert [tuple(row.values()) for row in customers] == [
        ("12583", 1, "2010-12-01"),
        ("13408", 1, "2010-12-02"),
        ("17850", 2, "2010-12-01"),
    ]
    assert [tuple(row.values()) for row in products] == [("2010-12-01", "22728", 1, 24), ("2010-12-02", "22728", 0, -4)]
    assert hours == [{"orders": 5}] and reconciled == [{"notes": 1, "lost": 0}]


def test_the_same_files_again_change_nothing(followed: tuple[Path, list[tuple[str, int]]]) -> None:
    before, again, build, full, after = type_in(
        followed[0],
        "clearwell hash --json",
        "clearwell ingest invoices --from 2010-12-01 --to 2010-12-03",
        "clearwell build",
        'clearwell build --full --reason "test"',
        "clearwell hash --json",
    )
    assert [again[1], build[1], full[1]] == [0, 0, 0]
    # landed as one window of two days, the rows are other batches with the same content
    assert before == after and "daily_revenue" in before[0]


def test_files_in_another_order_end_in_the_same_hashes(
    followed: tuple[Path, list[tuple[str, int]]], tmp_path: Path
) -> None:
    (here,) = type_in(followed[0], "clearwell hash --json")
    *answers, there = type_in(
        followed[0],
        "clearwell ingest exchange_rates --from 2010-12-01 --to 2010-12-03",
        "clearwell ingest invoices --from 2010-12-02 --to 2010-12-03",
        "clearwell build",
        "clearwell ingest invoices --from 2010-12-01 --to 2010-12-03",
        "clearwell build",
        "clearwell hash --json",
        CLEARWELL_HOME=str(tmp_path),
    )
    assert [status for _, status in answers] == [0] * len(answers), answers
    assert here == there


def test_a_trackers_events_are_in_gold(followed: tuple[Path, list[tuple[str, int]]]) -> None:
    checkout, text = followed[0], section(TRACKER)
    change_contracts(checkout, text)
    answers = type_in(checkout, *commands(text))
    assert [status for _, status in answers] == [0] * len(answers), answers
    (rows,) = ask(checkout, "select event_type, events, visitors from gold.daily_traffic order by all")
    assert [list(rows[0]), *([str(value) for value in row.values()] for row in rows)] == shown(text)
    funnel, events, warned = ask(
        checkout,
        "select sum(view_sessions)::int as views, sum(cart_sessions)::int as carts, sum(purchase_sessions)::int as bought, any_value(campaign) as campaign from gold.daily_funnel where view_sessions > 0",
        "select event_id, event_time::varchar as at, customer_id, product_id, unit_price::varchar as price from silver.clickstream where event_id in ('m3', 'm1') order by all",
        "select result from ops.findings where check_name = 'values_are_unlisted' order by all desc limit 1",
    )
    assert funnel == [{"views": 1, "carts": 1, "bought": 1, "campaign": "xmas"}]
    assert [tuple(row.values()) for row in events] == [
        ("m1", "2010-12-01 08:26:40", None, None, None),
        ("m3", "2010-12-01 08:27:00", "17850", "85123A", "2.5500"),
    ]
    assert warned == [{"result": "warn"}]


def exported() -> list[dict[str, str]]:
    """Return the rows of the page's export with totals."""
    (text,) = re.findall(r"^```csv\n(DocNo.*?)^```$", section(TOTALS), re.MULTILINE | re.DOTALL)
    return list(csv.DictReader(text.splitlines()))


def amount_of(text: str) -> Decimal:
    plain = Decimal(text.strip("()").replace(",", ""))
    return -plain if text.startswith("(") else plain


def test_lines_with_totals_are_in_gold_to_the_cent_and_postage_is_accounted_for(tmp_path: Path) -> None:
    checkout, text = make_checkout(tmp_path / "checkout", PAGE), section(TOTALS)
    change_contracts(checkout, text)
    more = {"CLEARWELL_SOURCES": "ledger, clickstream, exchange_rates"}
    *typed, last = commands(text)
    answers = type_in(
        checkout,
        *typed,
        last.replace("clearwell sql", "clearwell sql --json"),
        'clearwell sql --json "select order_id, line_number, unit_price::varchar as price, line_amount::varchar as amount'
        ' from silver.order_items order by all"',
        'clearwell sql --json "select dataset, reasons, fate, count(*) as records from records.refused group by all order by all"',
        "clearwell ledger --recount",
        "clearwell datasets check order_items --json",
        **more,
    )
    assert [status for _, status in answers] == [0] * len(answers), answers
    gold, lines, refused, _, checked = (answer for answer, _ in answers[len(typed) :])
    rows = json.loads(gold)
    assert [list(rows[0]), *([str(value) for value in row.values()] for row in rows)] == shown(text)
    # the same in plain Python, from the file alone
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    expected = []
    for row in exported():
        if row["Type"] == "postage":
            continue
        at = datetime.strptime(row["ERDAT"] + row["ERZET"], "%Y%m%d%H%M%S").replace(tzinfo=ZoneInfo("America/New_York"))
        amount, quantity = amount_of(row["Total"]), int(row["Qty"])
        sums[str(at.astimezone(UTC).date()), row["Ctry"]] += amount
        price = Fraction(amount) / quantity
        is_exact = (price * 10**4).denominator == 1
        expected.append((row["DocNo"], int(row["Pos"]), amount, price if is_exact else None))
    assert {(row["order_date"], row["country"]): Decimal(str(row["net_amount"])) for row in rows} == sums
    found = [
        (row["order_id"], row["line_number"], Decimal(row["amount"]), row["price"] and Fraction(row["price"]))
        for row in json.loads(lines)
    ]
    assert found == sorted(expected) and [one[3] for one in found].count(None) == 1
    assert [tuple(row.values()) for row in json.loads(refused)] == [
        (dataset, ["not_selected"], "withdrawn", 1) for dataset in ("order_items", "orders")
    ]
    fates = {row["fate"]: row["records"] for row in json.loads(checked)["fates"]}
    assert fates == {"current": 4, "withdrawn": 1} and json.loads(checked)["unknown"] == ["Curr", "Customer", "Ctry"]


def lines_of(checkout: Path, pattern: str) -> list[dict]:
    """Return the records of JSON lines, and of lines that are a list."""
    lines = [json.loads(line) for path in sorted(checkout.glob(pattern)) for line in path.read_text().splitlines()]
    return [one for line in lines for one in (line if isinstance(line, list) else [line])]


def test_orders_in_json_and_googles_events_are_in_gold(tmp_path: Path) -> None:
    checkout, text = make_checkout(tmp_path / "checkout", PAGE), section(LISTS)
    change_contracts(checkout, text)
    more = {
        "CLEARWELL_SOURCES": "shop_api, analytics, exchange_rates",
        "SHOP_API": str(checkout / "shop"),
        "ANALYTICS": str(checkout / "analytics"),
    }
    *typed, revenue, traffic = commands(text)
    answers = type_in(
        checkout,
        *typed,
        *(one.replace("clearwell sql", "clearwell sql --json") for one in (revenue, traffic)),
        'clearwell sql --json "select line_number, line_amount::varchar as amount from silver.order_items where is_counted order by all"',
        'clearwell sql --json "select dataset, reasons, fate, count(*) as records from records.refused group by all order by all"',
        'clearwell sql --json "select sum(view_sessions)::int as views, sum(cart_sessions)::int as carts,'
        ' sum(purchase_sessions)::int as bought, max(campaign) as campaign from gold.daily_funnel where view_sessions > 0"',
        "clearwell hash --json",
        "clearwell ingest shop_api --from 2024-03-11 --to 2024-03-12",
        "clearwell ingest analytics --from 2024-03-10 --to 2024-03-11",
        "clearwell build",
        "clearwell hash --json",
        "clearwell ledger --recount",
        **more,
    )
    assert [status for _, status in answers] == [0] * len(answers), answers
    of_orders, of_events, of_lines, refused, funnel, before, *_, after, _ = (
        answer for answer, _ in answers[len(typed) :]
    )
    tables = [json.loads(one) for one in (of_orders, of_events)]
    assert [row for rows in tables for row in [list(rows[0]), *([*map(str, row.values())] for row in rows)]] == shown(
        text
    )
    # the same in plain Python: of each line of an order, the last version counts
    orders = {one["id"]: one for one in lines_of(checkout, "shop/*.jsonl")}
    expected = {
        line["id"]: (line["quantity"] * Decimal(line["price"]) - Decimal(line["total_discount"]))
        for order in orders.values()
        if order["financial_status"] != "voided"
        for line in order["line_items"]
    }
    assert {row["line_number"]: Decimal(row["amount"]) for row in json.loads(of_lines)} == expected
    assert sum(Decimal(row["net_amount"]) for row in tables[0]) == sum(expected.values())
    assert sum(row["events"] for row in tables[1]) == len(lines_of(checkout, "analytics/*/*.json"))
    # an order without lines has none, and is accounted for
    assert [tuple(row.values()) for row in json.loads(refused)] == [("order_items", ["not_selected"], "withdrawn", 1)]
    assert json.loads(funnel) == [{"views": 1, "carts": 1, "bought": 1, "campaign": "spring"}]
    assert before == after


def test_a_database_with_other_tables_is_in_gold(shop: Home, tmp_path: Path) -> None:
    checkout, text = make_checkout(tmp_path / "checkout", PAGE), section(DATABASE)
    change_contracts(checkout, text)
    (created,) = re.findall(r"^```sql\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    with psycopg.connect(shop.database_url(), autocommit=True) as database:
        database.execute(created)
    more = {"AIRFLOW_CONN_ERP": shop.database_url(), "CLEARWELL_SOURCES": "erp, clickstream, exchange_rates"}
    last = commands(text)[-1].replace("clearwell sql", "clearwell sql --json")
    answers = type_in(checkout, *commands(text), last, "clearwell ledger --recount", **more)
    assert [status for _, status in answers] == [0] * len(answers), answers
    rows = json.loads(answers[-2][0])
    assert [list(rows[0]), *([str(value) for value in row.values()] for row in rows)] == shown(text)
    # a deleted position, a discount that is taken back, and an order that is no longer cancelled
    with psycopg.connect(shop.database_url(), autocommit=True) as database:
        database.execute("""delete from erp."Position" where "AuftragNr" = 1""")
        database.execute("""insert into erp."Position" values (1, 2, 'A-1', 1, 10, 0, '2026-11-03 09:00')""")
        database.execute(
            """update erp."Auftrag" set "Status" = 20, "Nachlass" = 0, "Geaendert" = timestamp '2026-11-03 09:00' """
        )
    *_, gold, recount = type_in(
        checkout,
        "clearwell ingest erp --from 2026-11-03 --to 2026-11-04",
        "clearwell build",
        last,
        "clearwell ledger --recount",
        **more,
    )
    assert [(row["country"], row["orders"], row["net_amount"]) for row in json.loads(gold[0])] == [
        ("DE", 1, "10.0000"),
        ("AT", 1, "5.0000"),
    ]
    assert recount[1] == 0


def test_what_the_page_says_of_queries_is_what_postgres_reads(shop: Home) -> None:
    rows = [
        line for line in PAGE.splitlines() if line.startswith(("| a key of a database's", "| SAP's date and time in a"))
    ]
    said = [one for row in rows for one in re.findall(r"`([^`]+ as \w+)`", row)]
    with psycopg.connect(shop.database_url()) as database:
        query = f"""select {", ".join(said)} from (values ('K1   ', '000010', '20240131', '235959')) as t ("NR", "POSNR", "ERDAT", "ERZET")"""
        assert database.execute(query).fetchall() == [("K1", 10, datetime(2024, 1, 31, 23, 59, 59))]


def test_what_the_page_says_of_erps_tables_is_what_postgres_reads(shop: Home) -> None:
    def said(begin: str) -> list[str]:
        (found,) = [line for line in PAGE.splitlines() if line.startswith(f"| {begin}")]
        return re.findall(r"`([^`]+)`", found)

    (joined,) = [one.replace("…", "o, c, p") for one in said("a currency,") if one.startswith("select")]
    (dated,) = [one for one in said("quotations") if one.startswith("coalesce")]
    (returned,) = [one for one in said("credit notes") if one.startswith("case")]
    (pivoted,) = [one.replace("…", "m") for one in said("values in rows of keys") if one.startswith("select")]
    kept = [one for one in said("lines that are no goods") if one.startswith("where")]
    tables = """
        with o as (select 7 as id, timestamp '2026-11-02 10:00' as write_date), c as (select 'EUR' as name),
        p as (select '{"en_US": "Desk", "fr_FR": "Bureau"}'::jsonb as name, timestamp '2026-11-03 09:00' as write_date),
        l (move_type, quantity, display_type, invoice_date, date) as (
            values ('out_invoice', 2, 'product', null, date '2026-11-02'), ('out_refund', 3, null, date '2026-11-03', null)
        ), m (order_item_id, meta_key, meta_value) as (
            values (1, '_qty', '2'), (1, '_line_total', '9.5'), (1, '_line_tax', '1'), (2, 'cost', '4.90')
        )
    """
    with psycopg.connect(shop.database_url()) as database:
        assert database.execute(tables + joined).fetchall() == [
            (7, datetime(2026, 11, 2, 10), "EUR", "Desk", datetime(2026, 11, 3, 9))
        ]
        assert database.execute(f"{tables} select {returned}, {dated}::text from l").fetchall() == [
            (2, "2026-11-02"),
            (-3, "2026-11-03"),
        ]
        rows = database.execute(f"{tables} {pivoted}").fetchall()
        assert sorted(rows) == [(1, "2", "9.5"), (2, None, "4.90")]
        found = [database.execute(f"{tables} select quantity from l {one}").fetchall() for one in kept]
        assert found == [[(3,)], [(2,)]]
    (status,) = [yaml.safe_load(one)["status"] for one in said("quotations") if one.startswith("status")]
    assert status["allowed"] == [*status["values"]] and status["values"]["cancelled"] == ["draft", "sent", "cancel"]
