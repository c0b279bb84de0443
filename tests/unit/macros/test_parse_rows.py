"""Parse bronze rows with the macros into typed columns or reasons: odd names, times, numbers and bytes."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion import bronze
from ingestion.contract import read_contracts
from ingestion.home import Home
from ingestion.land import Run
from ingestion.manifest import Manifest
from ingestion.names import renamed
from ingestion.sources import copied, corrections, database_rows, decisions
from ingestion.sources.corrections import Correction
from ingestion.sources.decisions import Target
from ingestion.sources.known import Standing
from ingestion.window import Window
from tests.unit.macros.dbt_like import project
from tests.unit.macros.parsing import contract_with
from tests.unit.macros.plan import plan_batches

LANDED = datetime(2026, 11, 3, tzinfo=UTC)
WINDOW = Window.parse("2026-11-01", "2026-11-02")
GOOD = {
    "order_id": "o1",
    "customer_id": None,
    "status": "paid",
    "currency": "EUR",
    "payment_method": "card",
    "shipping_country": "DE",
    "total_amount": "1.5000",
    "ordered_at": "2026-11-01 10:00:00+00",
    "updated_at": "2026-11-01 10:00:00+00",
}
Row = dict[str, Any]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    # a folder that looks like a partition, and a quote: neither may change the SQL
    return Home(tmp_path / "status=x" / "it's", tmp_path / "landing")


def land(home: Home, columns: Sequence[str], rows: list[list[bytes | str | None]], dataset: str = "orders") -> Manifest:
    """Land rows as a COPY of a table with these columns would."""
    lines = [as_csv([name.encode() for name in columns])]
    lines += [as_csv([cell.encode() if isinstance(cell, str) else cell for cell in row]) for row in rows]
    odd = copied.Odd("t", tuple(columns[:1]), "utf-8") if b"\xe9" in b"".join(lines) else None
    with bronze.staged(home, dataset) as folder:
        brought = copied.write(folder, lines, odd)
        manifest = Manifest(
            dataset, bronze.identify(dataset, WINDOW, [brought.sha256]), "orders", WINDOW, 1, LANDED, len(rows), len(rows),
            files=brought.files, columns=brought.columns, renamed=brought.renamed,
        )  # fmt: skip
        return bronze.commit(home, folder, manifest)[0]


def as_csv(cells: Sequence[bytes | None]) -> bytes:
    return b",".join(b"" if cell is None else b'"' + cell.replace(b'"', b'""') + b'"' for cell in cells) + b"\n"


def parsed(home: Home, *manifests: Manifest, dataset: str = "orders", contracts: Any = None) -> list[Row]:
    """Return the rows of the staging model over some batches."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        plan_batches(connection, home, manifests)
        macros = project(connection, contracts)
        connection.execute(f"create table staged as {macros['parse_records'](dataset)}")
        cursor = connection.sql("select * from staged order by batch_id, record_no")
        return [dict(zip(cursor.columns, row, strict=True)) for row in cursor.fetchall()]


def one(home: Home, **fields: Any) -> Row:
    row = GOOD | fields
    (found,) = parsed(home, land(home, list(row), [list(row.values())]))
    return found


@pytest.mark.parametrize(
    ("column", "text", "reasons"),
    [
        *(("ordered_at", text, ["infinite:ordered_at"]) for text in ("infinity", "-infinity", "Inf")),
        ("updated_at", "infinity", ["infinite:updated_at"]),
        *(
            ("ordered_at", text, ["out_of_range:ordered_at"])
            for text in (
                "0044-03-15 00:00:00+00 BC",
                "10000-01-01 00:00:00+00",
                "294276-12-31 23:59:59.999999+00",
                "+12026-01-01T00:00:00Z",
                "-0044-03-15 00:00:00+00",
                "0000-01-01 00:00:00+00",
                "0000-00-00 00:00:00",
                "0001-01-01 00:00:00+05",
                "0001-01-01 00:00:00+00 BC",
            )
        ),
        ("updated_at", "0044-03-15 00:00:00+00 BC", ["out_of_range:updated_at"]),
        ("updated_at", "0001-01-01 00:00:00+00", None),
        ("ordered_at", "9999-12-31 23:59:59-05", ["out_of_range:ordered_at", "in_future:ordered_at"]),
        ("ordered_at", "2026-11-04 00:00:00+00", None),
        ("ordered_at", "2026-11-04 00:00:00.000001+00", ["in_future:ordered_at"]),
        ("updated_at", "2026-11-04 00:00:00+00", None),
        ("updated_at", "2062-01-05 10:00:00+00", ["in_future:updated_at"]),
        ("updated_at", None, None),
        ("ordered_at", "soon", ["not_parsed:ordered_at"]),
        ("ordered_at", "2026-02-30 00:00:00+00", ["not_parsed:ordered_at"]),
        ("ordered_at", "", ["missing:ordered_at"]),
        *(("total_amount", text, ["not_a_number:total_amount"]) for text in ("NaN", "nan")),
        *(("total_amount", text, ["infinite:total_amount"]) for text in ("Infinity", "-Infinity", "inf")),
        ("total_amount", "1.00001", ["too_many_decimals:total_amount"]),
        ("total_amount", "1e3", ["not_parsed:total_amount"]),
        ("total_amount", "1" + "0" * 20, ["not_parsed:total_amount"]),
        ("total_amount", "", ["not_parsed:total_amount"]),
    ],
)
def test_a_value_that_is_none_is_refused_for_what_it_is(
    home: Home, column: str, text: str, reasons: list | None
) -> None:
    found = one(home, **{column: text})
    assert found["reasons"] == reasons
    if column == "ordered_at" and reasons and not reasons[0].startswith("in_future"):
        assert found["record_date"] == date(2026, 11, 1), "the window's, as it has none of its own"


def test_one_infinite_amount_leaves_the_money_of_the_others_exact(home: Home) -> None:
    rows = [list((GOOD | {"order_id": f"o{n}", "total_amount": text}).values()) for n, text in enumerate(
        ["0.1000", "NaN", "Infinity", "0.2000", "-Infinity"]
    )]  # fmt: skip
    found = parsed(home, land(home, list(GOOD), rows))
    assert sum(row["total_amount"] for row in found if row["reasons"] is None) == Decimal("0.3")
    assert [row["is_money_read"] for row in found if row["reasons"]] == [False] * 3


OWN = [
    "batch_id",
    "landed_at",
    "window_date",
    "record_no",
    "bronze_file",
    "bronze_row",
    "unreadable",
    "reasons",
    "raw",
    "file",
]
OWN += [
    "kinds",
    "text_status",
    "is_deleted",
    "not_utf8",
    "layout",
    "cells",
    "bronze",
    "batches",
    "typed",
    "filename",
    "c1",
]
OWN += [
    "{{ ref('x') }}",
    "{% set x %}",
    "select",
    "order",
    "a b",
    'a "b"',
    "it's",
    "🙂",
    "Größe",
    "x\ny",
    "%s",
    "$1",
    "a.b",
    " ",
]
OWN += ["Status", "STATUS", "Order_ID", "record_No", "file_row_number", "columns", "null", "true", "É", "é", "\\"]


def test_a_source_column_of_any_name_is_kept_and_captures_nothing(home: Home) -> None:
    row = GOOD | {name: f"of {name}" for name in OWN}
    found = parsed(home, land(home, [*OWN, *GOOD], [[row[name] for name in [*OWN, *GOOD]]]))
    alone = one(home)
    assert [{name: value for name, value in row.items() if name != "batch_id"} for row in found] == [
        {name: value for name, value in alone.items() if name != "batch_id"}
    ]


def test_a_dead_letter_has_the_row_by_the_sources_own_names(home: Home) -> None:
    row = GOOD | {name: f"of {name}" for name in OWN} | {"status": "lost"}
    found = one(home, **row)
    assert found["reasons"] == ["not_allowed:status"]
    assert json.loads(found["raw"]) == row


def test_a_refused_record_of_a_key_that_is_gone_still_says_so(home: Home) -> None:
    run = Run(WINDOW, home, read_contracts(), LANDED)
    gone = [Standing(("o1",), "2062-01-05 10:00:00+00"), Standing(("o2",), "2026-11-01 10:00:00+00")]
    with bronze.staged(home, "orders") as folder:
        staged = database_rows.write_gone(folder, run, run.contracts["orders"], gone, [])
        manifest = bronze.commit(home, folder, staged)[0]
    refused, deleted = parsed(home, manifest)
    assert refused["reasons"] == ["in_future:updated_at"] and refused["is_deleted"]
    assert json.loads(refused["raw"]) == {"order_id": "o1", "updated_at": "2062-01-05 10:00:00+00", "is_deleted": True}
    assert deleted["reasons"] is None and deleted["is_deleted"] and deleted["raw"] is None


def test_batches_of_other_columns_are_each_read_by_their_own(home: Home) -> None:
    plain = [*GOOD.values()]
    twin = land(home, ["Status", *GOOD], [["lost", *plain]])
    alone = land(home, ["Status" if name == "status" else name for name in GOOD], [plain])
    two = land(
        home,
        ["Status", "STATUS", *(name for name in GOOD if name != "status")],
        [["paid", "lost", *plain[:2], *plain[3:]]],
    )
    fewer = land(home, ["updated_at", "ordered_at", "order_id", "currency"], [[plain[8], plain[7], "o9", "EUR"]])
    found = {row["batch_id"]: row for row in parsed(home, twin, alone, two, fewer)}
    assert [found[one.batch_id]["status"] for one in (twin, alone, two, fewer)] == ["paid", "paid", None, None]
    assert [found[one.batch_id]["order_id"] for one in (twin, alone, two, fewer)] == ["o1", "o1", "o1", "o9"]
    assert all(row["reasons"] is None for row in found.values())


def test_bytes_that_are_no_text_refuse_the_row_where_the_contract_reads_them(home: Home) -> None:
    columns = [*GOOD, "note"]
    rows = [
        [*GOOD.values(), b"caf\xe9"],
        [*(GOOD | {"customer_id": b"\xe9", "currency": b"\xe9\xe9", "total_amount": "NaN"}).values(), None],
        [*GOOD.values(), "good"],
    ]
    found = parsed(home, land(home, columns, rows), land(home, columns, [[*GOOD.values(), "good"]]))
    reasons = sorted((row["reasons"] or [] for row in found), key=len)
    assert reasons == [[], [], [], ["invalid_utf8:customer_id", "invalid_utf8:currency", "not_a_number:total_amount"]]
    (raw,) = [row["raw"] for row in found if row["reasons"]]
    assert '"customer_id":"\\\\xe9"' in raw and '"note":null' in raw


def test_a_correction_carries_a_column_by_the_name_that_the_source_gives_it(home: Home) -> None:
    row = GOOD | {"Status": "of another", "record_no": "7", "is_deleted": "t"}
    target = Target("orders", "b1", 1)
    corrections.land(home, [Correction(target, WINDOW, json.dumps(row))], "test", "me", LANDED)
    (manifest,) = [one for one in bronze.committed(home) if one.dataset == "orders"]
    assert manifest.columns == tuple(sorted(row)) and manifest.renamed == renamed(row)
    (found,) = parsed(home, manifest)
    assert (found["status"], found["reasons"], found["record_no"]) == ("paid", None, 1)


def test_a_row_may_have_other_names_which_may_change(home: Home) -> None:
    names = {"status": ["Order's State", "State"], "shipping_country": "status"}
    contracts = {"orders": contract_with("orders", names)}
    row = {name: text for name, text in GOOD.items() if name not in ("status", "shipping_country")}
    early = row | {"STATE": "created", "status": "DE"}
    late = row | {"Order's State": "paid", "State": "created", "status": "FR", "total_amount": "much"}
    first, second = (
        parsed(home, land(home, list(one), [list(one.values())]), contracts=contracts)[0] for one in (early, late)
    )
    assert (first["status"], first["shipping_country"], first["reasons"]) == ("created", "DE", None)
    assert second["reasons"] == ["not_parsed:total_amount"]
    assert json.loads(second["raw"])["Order's State"] == "paid" and json.loads(second["raw"])["status"] == "FR"


@pytest.mark.parametrize("is_required", [False, True])
def test_a_column_of_json_that_is_none_is_refused(home: Home, is_required: bool) -> None:
    contract = contract_with("orders", {}, {"payment_method": {"required": is_required, "data_type": "json"}})
    right = ['{"a": 1}', "[1, {}]", "5", '"text"', "null", ' {"a": "x,] NaN"} ', '["\\ud83d\\ude00", ",]"]', "1e400"]
    # DuckDB itself reads the four after the blank, but other readers of JSON do not
    none = ["text", '{"a": 1', "1 2", "1],[2", "01", '"\\ud800"', " ", "[1,]", '{"a": 1,}', '{"a": NaN}', "-Infinity"]
    texts = [*right, *none, "", None]
    rows = [
        [*(GOOD | {"order_id": f"o{number}", "payment_method": text}).values()] for number, text in enumerate(texts)
    ]
    found = parsed(home, land(home, list(GOOD), rows), contracts={"orders": contract})
    wrong, missing = ["not_parsed:payment_method"], ["missing:payment_method"]
    assert [row["reasons"] for row in found] == [
        *[None] * len(right), *[wrong] * len(none), missing if is_required else wrong, missing if is_required else None
    ]  # fmt: skip
    # also what is refused: as a column of JSON it would otherwise end the whole build
    assert [row["payment_method"] for row in found] == [*right, *[None] * (len(none) + 2)]


def test_files_of_one_batch_may_have_a_column_under_an_old_name_and_a_new_one(home: Home) -> None:
    contracts = {"orders": contract_with("orders", {"customer_id": ["Kunde", "Kundennr"]})}
    names = [name for name in GOOD if name != "customer_id"]
    rest = [GOOD[name] for name in names[1:]]
    manifest = land(
        home,
        [*names, "Kundennr", "Kunde"],
        [["o1", *rest, "K1", None], ["o2", *rest, None, "K2"], ["o3", *rest, "old", "new"], ["o4", *rest, None, None]],
    )
    found = parsed(home, manifest, contracts=contracts)
    assert {row["order_id"]: row["customer_id"] for row in found} == {"o1": "K1", "o2": "K2", "o3": "new", "o4": None}


@pytest.fixture
def columns_told(home: Home) -> Callable[..., dict[str, bool]]:
    def told(*manifests: Manifest) -> dict[str, bool]:
        with duckdb.connect() as connection:
            plan_batches(connection, home, manifests)
            macros = project(connection)
            meant = macros["is_meant"]("seen.name", "seen.columns", macros["column_names"]("orders"))
            return dict(
                connection.sql(
                    f"select name, bool_and({meant}) from (select unnest(columns) as name, columns from plan_batches) as seen group by all"
                ).fetchall()
            )

    return told


def test_a_column_is_told_by_its_true_name_unless_it_is_read(home: Home, columns_told: Any) -> None:
    plain = [*GOOD.values()]
    alone = land(home, ["Status" if name == "status" else name for name in GOOD], [plain])
    twin = land(home, ["Status", "record_no", "raw", *GOOD], [["lost", "7", "x", *plain]])
    assert not [name for name, is_read in columns_told(alone).items() if not is_read]
    assert {name for name, is_read in columns_told(twin).items() if not is_read} == {"Status", "record_no", "raw"}


def test_what_is_dated_by_its_landing_is_not_ahead_of_it(home: Home) -> None:
    decided = decisions.land(home, [decisions.withdraw(Target("orders", "b1", 1), "test", "me", LANDED)])
    assert [row["reasons"] for row in parsed(home, decided, dataset="decisions")] == [None]
    counted = {"dataset": "orders", "event_date": "2026-11-01", "records": "1", "counted_at": "2026-11-03T00:00:00Z"}
    (found,) = parsed(
        home, land(home, list(counted), [list(counted.values())], "source_counts"), dataset="source_counts"
    )
    assert not [reason for reason in found["reasons"] or () if "counted_at" in reason]


@pytest.mark.parametrize("dataset", [name for name, contract in read_contracts().items() if contract.format == "rows"])
def test_every_dataset_of_rows_renders_where_nothing_enters(home: Home, dataset: str) -> None:
    assert parsed(home, dataset=dataset) == []
