"""Exports as other systems write them, from `datasets add` to silver by commands alone, compared with plain Python."""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion.home import Home
from tests.pipeline.checkout import make_checkout, type_in

Rows = list[dict[str, Any]]
START = datetime(2026, 11, 1)


def cells(header: list[str], rows: list[list[str]], **written: str) -> str:
    text = io.StringIO()
    csv.writer(text, **written).writerows([header, *rows])  # type: ignore[arg-type]
    return text.getvalue()


def retail(folder: Path) -> Rows:
    """An invoice's lines, in cp1252 with semicolons, packed; credit notes begin with C, some customers are missing, equal lines occur."""
    expected = []
    for day in (1, 2):
        rows = []
        for number in range(120):
            invoice = f"{'C' if number % 9 == 0 else ''}{536000 + day * 1000 + number // 4}"
            quantity = (-1 if number % 9 == 0 else 1) * (1 + number % 5)
            name = ("CAFÉ MUG £", "BÜRSTE € “GROSS”", 'TOY; "RED"')[number % 3]
            price, at = f"{number % 50},{number % 10}5", f"0{day}/12/2010 {8 + number // 60}:{number % 60:02}"
            customer = "" if number % 5 == 0 else str(17000 + number % 7)
            line = [invoice, f"85{number % 40}A", name, str(quantity), at, price, customer, "EIRE"]
            for _ in range(2 if number == 50 else 1):
                rows.append(line)
                expected.append(
                    {
                        "invoice": invoice,
                        "description": name,
                        "quantity": quantity,
                        "invoice_date": datetime.strptime(at, "%d/%m/%Y %H:%M"),
                        "price": Decimal(price.replace(",", ".")),
                        "customer_id": customer or None,
                        "sales_date": date(2010, 12, day),
                    }
                )
        header = ["Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "Customer ID", "Country"]
        body = cells(header, rows, delimiter=";").encode("cp1252")
        (folder / f"2010-12-0{day}.csv.gz").write_bytes(gzip.compress(body))
    return expected


def analytics(path: Path) -> Rows:
    """Events as Google Analytics exports them: counts of microseconds as texts, and parameters in a list of keys and values."""
    lines, expected = [], []
    for number in range(200):
        at = datetime(2026, 11, 1, 10, tzinfo=UTC) + timedelta(seconds=number, microseconds=number)
        name = ("page_view", "purchase", "scroll")[number % 3]
        params = [{"key": "page_location", "value": {"string_value": f"https://shop.example/{number}"}}]
        params += [{"key": "session", "value": {"int_value": str(number // 7)}}]
        if name == "purchase":
            params.insert(0, {"key": "value", "value": {"double_value": 12.5 + number}})
        lines.append(
            {
                "event_date": "20261101",
                "event_timestamp": str((at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)),
                "event_name": name,
                "event_params": params,
                "event_bundle_sequence_id": f"{number}",
                "device": {"category": "mobile", "web_info": {"browser": "Chrome"} if number % 2 else None},
                "items": [],
            }
        )
        expected.append(
            {
                "event_bundle_sequence_id": str(number),
                "event_date": date(2026, 11, 1),
                "event_timestamp": at.replace(tzinfo=None),
                "event_params_page_location": f"https://shop.example/{number}",
                "event_params_session": number // 7,
                "event_params_value": Decimal(str(12.5 + number)) if name == "purchase" else None,
                "device_category": "mobile",
                "device_web_info_browser": "Chrome" if number % 2 else None,
            }
        )
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return expected


def tracked(path: Path) -> Rows:
    """Events as Snowplow writes them: tabs, no header, nothing quoted, though quotes and JSON are in the values."""
    rows, expected = [], []
    for number in range(150):
        at = START + timedelta(minutes=number, milliseconds=number)
        title = ('"quoted" title', 'a 5" pipe', "Title")[number % 3]
        payload = json.dumps({"schema": "iglu:x", "data": [{"a": f"b\t{number}"}]})
        event = f"{number:08x}-aaaa-bbbb-cccc-0123456789ab"
        row = ["shop", f"{at:%Y-%m-%d %H:%M:%S.%f}"[:-3], "page_view", event, f"10.0.0.{number}", "", title, payload]
        rows.append("\t".join(row))
        expected.append({"column_4": event, "column_2": at, "column_7": title, "column_8": payload, "column_6": None})
    path.write_text("\n".join([*rows, ""]))
    return expected


def messages(folder: Path) -> Rows:
    """Messages as Segment sends them, packed, in a folder a day: nested, with objects that some lines do not have."""
    folder.mkdir(parents=True)
    lines, expected = [], []
    for number in range(150):
        at = START + timedelta(days=1, seconds=number)
        context: dict[str, Any] = {"ip": "203.0.113.7", "page": {"url": f"https://x/{number}", "search": ""}}
        if number % 3:
            context["campaign"] = {"name": "xmas"}
        lines.append(
            {
                "messageId": f"m-{number}",
                "timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.123Z",
                "receivedAt": f"{at + timedelta(seconds=2):%Y-%m-%dT%H:%M:%S}.000Z",
                "userId": None if number % 2 else f"u{number}",
                "context": context,
                "properties": {"total": 1.5 + number, "products": [{"sku": "a"}]},
            }
        )
        expected.append(
            {
                "message_id": f"m-{number}",
                "timestamp": at.replace(microsecond=123000),
                "user_id": None if number % 2 else f"u{number}",
                "context_page_url": f"https://x/{number}",
                "context_campaign_name": "xmas" if number % 3 else None,
                "properties_total": Decimal(str(1.5 + number)),
            }
        )
    (folder / "part.json.gz").write_bytes(gzip.compress("".join(f"{json.dumps(line)}\n" for line in lines).encode()))
    return expected


def orders_with_lines(path: Path) -> Rows:
    """Lines as Shopify exports them: the order's own fields are in its first line alone, values have line ends and quotes."""
    rows, expected = [], []
    for number in range(60):
        created = f"2026-11-01 10:{number:02}:00 +0100"
        for place in range(1 + number % 3):
            order = [f"55{number}", created, "EUR", "24.90", "'01067"] if place == 0 else [""] * 5
            rows.append([f"#{1000 + number}", *order, f'Pot "{place}"\n(old)', "10.00"])
        expected.append(
            {
                "id": f"55{number}",
                "name": f"#{1000 + number}",
                "created_at": datetime(2026, 11, 1, 9, number),
                "total": Decimal("24.90"),
                "shipping_zip": "'01067",
                "lineitem_name": 'Pot "0"\n(old)',
            }
        )
    header = ["Name", "Id", "Created at", "Currency", "Total", "Shipping Zip", "Lineitem name", "Lineitem price"]
    path.write_text(cells(header, rows))
    return expected


def documents(path: Path) -> Rows:
    """Documents as an ERP lists them: cp1252, semicolons, commas for decimals, dots for thousands, a minus behind, zeros in front."""
    rows, expected = [], []
    for number in range(120):
        document, place = f"{4500000 + number // 2:010}", f"{10 * (1 + number % 2):06}"
        amount = ("1.234,56", "12,00", "1.000.000,10-")[number % 3]
        rows.append(
            [document, place, f"{1 + number % 28:02}.11.2026", amount, f"{1 + number % 9},000", f'Büro "{number}"']
        )
        expected.append(
            {
                "beleg": document,
                "pos": place,
                "buchungsdatum": date(2026, 11, 1 + number % 28),
                "betrag": Decimal(amount.rstrip("-").replace(".", "").replace(",", "."))
                * (-1 if number % 3 == 2 else 1),
                "menge": Decimal(1 + number % 9),
                "text": f'Büro "{number}"',
            }
        )
    header = ["Beleg", "Pos", "Buchungsdatum", "Betrag", "Menge", "Text"]
    path.write_bytes(cells(header, rows, delimiter=";").encode("cp1252"))
    return expected


def postings(path: Path) -> Rows:
    """Postings as accountants keep them in a workbook: signs of a currency, parentheses, percentages, days since 1900."""
    rows, expected = [], []
    for number in range(120):
        at = datetime(2026, 11, 1 + number % 20, number % 24, 30)
        amount = Decimal(number * 137 + 5) * (-1 if number % 4 == 0 else 1)
        text = f"{abs(amount):,.2f}"
        serial = (at - datetime(1899, 12, 30)) / timedelta(days=1)
        rows.append([f"P-{number:04}", repr(serial), f"(${text})" if amount < 0 else f"${text}", f"{number % 30}.5%"])
        expected.append(
            {
                "posting_no": f"P-{number:04}",
                "posting_date": at,
                "amount": amount,
                "rate": Decimal(f"{number % 30}.5") / 100,
            }
        )
    path.write_text(cells(["Posting No.", "Posting Date", "Amount", "Rate"], rows))
    return expected


def positions(path: Path) -> Rows:
    """Positions as SAP's tables hold them: a composite key with zeros in front, fixed widths, a date and a time in two columns."""
    rows, expected = [], []
    for number in range(120):
        at = datetime(2026, 11, 1 + number % 20, number % 24, number % 60, (7 * number) % 60)
        key = [f"{4711 + number // 4:010}", f"{10 * (1 + number % 4):06}"]
        currency = "EUR" if number % 2 else "CHF"
        rows.append([*key, f"{currency}  ", f"{at:%Y%m%d}", f"{at:%H%M%S}"])
        expected.append({"vbeln": key[0], "posnr": key[1], "waerk": currency, "erdat": at, "vbap_date": at.date()})
    path.write_text(cells(["VBELN", "POSNR", "WAERK", "ERDAT", "ERZET"], rows, delimiter="|"))
    return expected


def sales_in_french(path: Path) -> Rows:
    """Lines as a French spreadsheet saves them: blanks of three kinds between thousands and before the sign, an index of pandas, a name twice."""
    rows, expected = [], []
    for number in range(120):
        amount = Decimal(number * 12_345 + 50) / 100 * (-1 if number % 5 == 0 else 1)
        text = (
            f"{amount:,.2f}".replace(",", "\u202f\u00a0 "[number % 3]).replace(".", ",") + ("\u00a0€", " €")[number % 2]
        )
        line = [
            f"F{number // 2}",
            str(number % 2 + 1),
            f"{1 + number % 28:02}/11/2026",
            text,
            f"{number % 4 * 500}".rjust(6),
        ]
        rows.append([str(number), *line, "a", "b"])
        expected.append(
            {
                "facture": f"F{number // 2}",
                "ligne": number % 2 + 1,
                "date": date(2026, 11, 1 + number % 28),
                "montant_ht": amount,
                "quantite": number % 4 * 500,
                "column_1": number,
                "note_1": "a",
                "note_2": "b",
            }
        )
    header = ["", "Facture", "Ligne", "Date", "Montant HT", "Quantité", "Note", "Note"]
    path.write_text("\n" + cells(header, rows, delimiter=";"))
    return expected


def tracked_properties(path: Path) -> Rows:
    """Events as Mixpanel and PostHog export them: names with signs and blanks, numbers in quotes, some of them empty."""
    lines, expected = [], []
    for number in range(150):
        at = START + timedelta(seconds=number)
        properties: dict[str, Any] = {
            "$insert_id": f"i{number}",
            "time": int(at.replace(tzinfo=UTC).timestamp()),
            "$current_url": f"https://x/{number}",
            "Total Price": "" if number % 4 == 0 else f"{number}.50",
            "utm.source": "a",
            "quantity": str(number),
            "app_version": "1.10",
        }
        lines.append({"event": "Viewed", "properties": properties})
        expected.append(
            {
                "properties_insert_id": f"i{number}",
                "properties_time": at,
                "properties_current_url": f"https://x/{number}",
                "properties_total_price": None if number % 4 == 0 else Decimal(f"{number}.50"),
                "properties_utm_source": "a",
                "properties_quantity": number,
                "properties_app_version": "1.10",
            }
        )
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return expected


def sheet(path: Path) -> Rows:
    """A sheet as Excel saves it: a mark at the start, and a first line that names the delimiter."""
    rows = [[f"A{number}", f"{number},50"] for number in range(120)]
    path.write_bytes(("sep=;\r\n" + cells(["Artikel", "Größe"], rows, delimiter=";")).encode("utf-8-sig"))
    return [{"artikel": f"A{number}", "groesse": Decimal(f"{number}.50")} for number in range(120)]


def parquet(folder: Path) -> Rows:
    """Events in Parquet: times in nanoseconds and in UTC, decimals, structs and lists."""
    folder.mkdir(parents=True)
    moments = [START + timedelta(seconds=number, microseconds=number) for number in range(150)]
    nanoseconds = [(at - datetime(1970, 1, 1)) // timedelta(microseconds=1) * 1000 for at in moments]
    table = pa.table(
        {
            "event_id": [f"e{number}" for number in range(150)],
            "derived_tstamp": pa.array(nanoseconds, pa.timestamp("ns")),
            "collector_tstamp": pa.array(moments, pa.timestamp("us", "UTC")),
            "amount": pa.array([Decimal(number) / 100 for number in range(150)], pa.decimal128(18, 2)),
            "geo": [{"country": "DE", "at": START} for _ in range(150)],
        }
    )
    pq.write_table(table, folder / "part-0.snappy.parquet")
    geo = {"country": "DE", "at": "2026-11-01T00:00:00.000000"}
    return [
        {
            "event_id": f"e{number}",
            "derived_tstamp": at,
            "collector_tstamp": at,
            "amount": Decimal(number) / 100,
            "geo": json.dumps(geo),
        }
        for number, at in enumerate(moments)
    ]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory, shop: Home) -> Iterator[dict[str, Any]]:
    root = make_checkout(tmp_path_factory.mktemp("checkout"), "")
    exports = root / "exports"
    exports.mkdir()
    expected = {
        "sales": retail(exports),
        "hits": analytics(exports / "ga4.jsonl"),
        "snow": tracked(exports / "snowplow.tsv"),
        "messages": messages(exports / "segment" / "2026-11-02"),
        "web_orders": orders_with_lines(exports / "shopify.csv"),
        "belege": documents(exports / "sap.csv"),
        "postings": postings(exports / "postings.csv"),
        "vbap": positions(exports / "vbap.txt"),
        "ventes": sales_in_french(exports / "ventes.csv"),
        "hits_of_users": tracked_properties(exports / "mixpanel.jsonl"),
        "artikel": sheet(exports / "excel.csv"),
        "events": parquet(exports / "dt=2026-11-01"),
        "partners": [{"nr": f"K{number}", "name": f"Firma {number}"} for number in range(120)],
    }
    with psycopg.connect(shop.database_url(), autocommit=True) as database:
        database.execute("create schema erp")
        database.execute('create table erp.partners ("Nr" char(6) primary key, "Name" text, changed_at timestamp)')
        database.execute(
            "insert into erp.partners select 'K' || n, 'Firma ' || n, '2026-11-01 08:00' from generate_series(0, 119) as n"
        )
    places = {
        "sales": ("'${EXPORTS}/{date}.csv.gz' --key row", "2010-12-01 --to 2010-12-03"),
        "hits": ("'${EXPORTS}/ga4.jsonl'", "2026-11-01 --to 2026-11-02"),
        "snow": ("'${EXPORTS}/snowplow.tsv' --event-time column_2", "2026-11-01 --to 2026-11-02"),
        "messages": ("'${EXPORTS}/segment/{date}/*.json.gz'", "2026-11-02 --to 2026-11-03"),
        "web_orders": ("'${EXPORTS}/shopify.csv' --key Id --event-time 'Created at'", "2026-11-01 --to 2026-11-02"),
        "belege": ("'${EXPORTS}/sap.csv'", "2026-11-01 --to 2026-11-29"),
        "postings": ("'${EXPORTS}/postings.csv'", "2026-11-01 --to 2026-11-29"),
        "vbap": ("'${EXPORTS}/vbap.txt'", "2026-11-01 --to 2026-11-29"),
        "ventes": ("'${EXPORTS}/ventes.csv'", "2026-11-01 --to 2026-11-29"),
        "hits_of_users": ("'${EXPORTS}/mixpanel.jsonl'", "2026-11-01 --to 2026-11-02"),
        "artikel": ("'${EXPORTS}/excel.csv'", "2026-11-01 --to 2026-11-02"),
        "events": ("'${EXPORTS}/dt={date}/*.parquet'", "2026-11-01 --to 2026-11-02"),
        "partners": ("erp.erp.partners", "2026-11-01 --to 2026-11-02"),
    }
    environment = {"EXPORTS": str(exports), "AIRFLOW_CONN_ERP": shop.database_url()}
    added = type_in(
        root,
        *(f"clearwell datasets add {name} --from {place} --json" for name, (place, _) in places.items()),
        **environment,
    )
    held = type_in(root, "clearwell datasets check web_orders", **environment)
    path = root / "dbt_project/models/staging/staging_web_orders.yml"
    path.write_text(
        path.read_text().replace("            cadence:", "            breaker: {share: 1}\n            cadence:")
    )
    (root / "dbt_project/contracts/web_orders/v1.yml").unlink()
    commands = [
        "clearwell contracts release web_orders",
        *(f"clearwell datasets check {name} --json" for name in places),
        *(f"clearwell ingest {name} --from {window}" for name, (_, window) in places.items()),
        "clearwell build",
        *(f'clearwell sql --json "select * from silver.{name}"' for name in places),
        "clearwell ledger --recount",
    ]
    shown = type_in(root, *commands, **environment)
    number = len(places)
    yield {
        "expected": expected,
        "added": dict(zip(places, added, strict=True)),
        "held": held[0],
        "checked": dict(zip(places, shown[1 : number + 1], strict=True)),
        "done": [shown[0], *shown[number + 1 : 2 * number + 2], shown[-1]],
        "silver": dict(zip(places, shown[2 * number + 2 : -1], strict=True)),
    }
    with psycopg.connect(shop.database_url(), autocommit=True) as database:
        database.execute("drop schema erp cascade")


DECIDED = {
    "sales": (["row_id"], "invoice_date", None),
    "hits": (["event_bundle_sequence_id"], "event_timestamp", None),
    "snow": (["column_4"], "column_2", "file_time"),
    "messages": (["message_id"], "timestamp", None),
    "web_orders": (["id"], "created_at", "file_time"),
    "belege": (["beleg", "pos"], "buchungsdatum", "file_time"),
    "postings": (["posting_no"], "posting_date", "file_time"),
    "vbap": (["vbeln", "posnr"], "erdat", "file_time"),
    "ventes": (["facture", "ligne"], "date", "file_time"),
    "hits_of_users": (["properties_insert_id"], "properties_time", None),
    "artikel": (["artikel"], None, "file_time"),
    "events": (["event_id"], "derived_tstamp", "file_time"),
    "partners": (["nr"], None, "changed_at"),
}


DATASETS = list(DECIDED)


@pytest.mark.parametrize("name", DATASETS)
def test_the_proposal_has_its_key_and_times(followed: dict[str, Any], name: str) -> None:
    text, status = followed["added"][name]
    assert status == 0, text
    found = json.loads(text)
    assert (found["key"], found["event_time"], found["version"]) == DECIDED[name]


def typed(value: Any, like: Any) -> Any:
    """Return what JSON says of a value as the type of the expected one."""
    if value is None or like is None:
        return value
    if isinstance(like, datetime):
        return datetime.fromisoformat(value)
    return (
        date.fromisoformat(value)
        if isinstance(like, date)
        else Decimal(str(value))
        if isinstance(like, Decimal)
        else value
    )


def in_order(rows: Rows) -> list[str]:
    return sorted(repr(sorted(row.items())) for row in rows)


@pytest.mark.parametrize("name", DATASETS)
def test_silver_equals_plain_python(followed: dict[str, Any], name: str) -> None:
    assert [one for one in followed["done"] if one[1]] == []
    text, status = followed["silver"][name]
    assert status == 0, text
    expected = followed["expected"][name]
    likes: dict[str, Any] = {}
    for row in expected:
        likes |= {column: value for column, value in row.items() if value is not None or column not in likes}
    found = [{column: typed(row[column], like) for column, like in likes.items()} for row in json.loads(text)]
    same = [
        {column: value if not isinstance(value, Decimal) else value.normalize() for column, value in row.items()}
        for row in found
    ]
    wanted = [
        {column: value if not isinstance(value, Decimal) else value.normalize() for column, value in row.items()}
        for row in expected
    ]
    assert in_order(same) == in_order(wanted)


@pytest.mark.parametrize("name", DATASETS)
def test_a_check_accounts_for_each_record(followed: dict[str, Any], name: str) -> None:
    text, status = followed["checked"][name]
    assert status == 0, text
    found = json.loads(text)
    fates = {one["fate"]: one["records"] for one in found["fates"]}
    assert sum(fates.values()) == found["records"] > 0 and found["lacking"] == []
    refused = {one["reason"]: one["records"] for one in found["refused"]}
    without_id = sum(number % 3 for number in range(60))
    assert refused == ({"missing:id": without_id} if name == "web_orders" else {})


def test_a_check_says_that_a_batch_would_be_held(followed: dict[str, Any]) -> None:
    text, status = followed["held"]
    assert status == 1 and "60 records can be read, but would be held" in text and "breaker: {share: 1}" in text
