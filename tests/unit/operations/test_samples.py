"""A sample has the source's exact texts, of the first and the last file, and counts what cannot be read."""

import codecs
import gzip
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import fastavro
import psycopg
import pytest
import zstandard
from psycopg import conninfo

from ingestion.errors import Permanent, Transient
from ingestion.home import Home
from operations import samples
from operations.guesses import BOOLEAN, FRACTION, LIST, NUMBER, STRING, TEXT
from operations.propose import Asked, propose
from operations.samples import read_sample

CSV = "id,Name\n007, a \n008,\n"


def test_texts_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    found = read_sample(str(tmp_path / "a.csv"))
    assert (found.columns, found.rows) == (("id", "Name"), (("007", " a "), ("008", None)))
    assert found.is_whole and found.csv == {} and found.kinds_of("id") == {TEXT}


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".csv.zst", ".zip", ".txt", ""])
def test_packed_files_are_the_same(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    if ending == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inside.csv", CSV)
    else:
        packed = {".csv.gz": gzip.compress, ".csv.zst": zstandard.compress}.get(ending, bytes)
        path.write_bytes(packed(CSV.encode()))
    assert read_sample(str(path)).rows == (("007", " a "), ("008", None))


def test_rows_that_cannot_be_split_are_counted_as_landing_does(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'id,name\n"1",a\n1,a,b\n2,\xff\n3,"x"y\n4,\xc3\xa9\n')
    found = read_sample(str(tmp_path / "a.csv"))
    assert found.rows == (("1", "a"), ("4", "é"))
    assert found.unread == {"ragged_row": 1, "invalid_utf8": 1, "broken_quoting": 1}


@pytest.mark.parametrize(
    ("body", "dialect"),
    [
        ("id;Straße\n1;a,b\n2;c\n".encode(), {"delimiter": ";"}),
        ("id\tStraße\n1\ta,b\n2\tc\n".encode(), {"delimiter": "\t"}),
        ("id;Straße\n1;Ä\n2;Ö\n3;Ü\n".encode("latin-1"), {"delimiter": ";", "encoding": "cp1252"}),
        ("id,Straße\n1,Ä\n2,Ö\n3,Ü\n".encode("latin-1"), {"encoding": "cp1252"}),
        (b"id\n1\n2\n", {}),
    ],
)
def test_the_dialect_is_recognized(tmp_path: Path, body: bytes, dialect: dict[str, str]) -> None:
    (tmp_path / "a.csv").write_bytes(body)
    found = read_sample(str(tmp_path / "a.csv"))
    assert found.csv == dialect and found.columns[0] == "id" and found.rows[0][0] == "1"
    assert found.columns[1:] in ((), ("Straße",))


def test_a_file_without_a_header_has_numbered_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2026-11-01,Cup\n2,2026-11-02,Pot\n")
    found = read_sample(str(tmp_path / "a.csv"))
    assert found.columns == ("column_1", "column_2", "column_3") and found.csv == {"header": list(found.columns)}
    assert [row[0] for row in found.rows] == ["1", "2"]
    (tmp_path / "a.csv").write_text("country,2024,2025\nDE,1,2\n")
    assert read_sample(str(tmp_path / "a.csv")).columns == ("country", "2024", "2025")


def test_files_may_be_dated_by_parts(tmp_path: Path) -> None:
    for place in ("2026/10/31/23.csv", "2026/11/01/00.csv", "2026/11/x/00.csv"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(f"id\n{place}\n")
    place = str(tmp_path / "{year}/{month}/{day}/{hour}.csv")
    assert [row[0] for row in read_sample(place).rows] == ["2026/10/31/23.csv", "2026/11/01/00.csv"]
    assert samples.newest_date(place) == "2026-11-01"


def test_of_many_small_files_some_at_both_ends_are_read(tmp_path: Path) -> None:
    for hour in range(24):
        (tmp_path / f"{hour:02}.jsonl").write_text(f'{{"id": "e{hour:02}"}}\n' if hour else "")
    found = read_sample(f"{tmp_path}/*.jsonl")
    ids = [row[0] for row in found.rows]
    assert ids == [*(f"e{hour:02}" for hour in range(1, 5)), *(f"e{hour:02}" for hour in range(19, 24))]
    assert [Path(one).name for one in (found.files[0], found.files[-1])] == ["01.jsonl", "23.jsonl"]


def test_the_first_and_the_last_file_of_a_pattern_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "_SMALL", 1)
    for day in ("2026-11-01", "2026-11-02", "2026-11-03"):
        (tmp_path / f"x-{day}.csv").write_text(f"id,day\n1,{day}\n")
    (tmp_path / "x-readme.csv").write_text("other\n1\n")
    place = str(tmp_path / "x-{date}.csv")
    found = read_sample(place)
    assert [row[1] for row in found.rows] == ["2026-11-01", "2026-11-03"] and not found.is_whole
    assert samples.newest_date(place) == "2026-11-03"
    assert samples.newest_date(str(tmp_path / "y-{date}.csv")) is None
    assert len(read_sample(str(tmp_path / "x-2*.csv")).rows) == 2
    (tmp_path / "x-2026-11-03.csv").write_text("id;day\n1;2\n")
    with pytest.raises(Permanent, match="in different ways"):
        read_sample(place)


def test_a_sample_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("id\n" + "".join(f"{number}\n" for number in range(1000)))
    found = read_sample(str(tmp_path / "a.csv"), rows=10)
    assert len(found.rows) == 10 and not found.is_whole
    monkeypatch.setattr(samples, "_BYTES", 50)
    found = read_sample(str(tmp_path / "a.csv"))
    assert [row[0] for row in found.rows] == [str(number) for number in range(len(found.rows))] and 5 < len(
        found.rows
    ) < 30


def test_json_lines_have_kinds(tmp_path: Path) -> None:
    lines = ['{"a": 1, "b": "x", "c": null}', '{"a": 1.50, "d": true, "e": {"f": 1}, "g": [1]}', "[1]", "{", ""]
    (tmp_path / "a.jsonl").write_bytes("\n".join(lines).encode() + b'\n{"b": "\xff"}\n')
    found = read_sample(str(tmp_path / "a.jsonl"))
    assert found.columns == ("a", "b", "c", "d", "$.e.f", "g") and found.format == "json_lines"
    assert found.rows[0] == ("1", "x", None, None, None, None)
    assert found.rows[1][:4] == ("1.50", None, None, "true") and json.loads(found.rows[1][5] or "") == ["1"]
    kinds = [set(found.kinds_of(name)) for name in found.columns]
    assert kinds == [{NUMBER, FRACTION}, {STRING}, set(), {BOOLEAN}, {NUMBER}, {LIST}]
    assert found.unread == {"not_an_object": 1, "broken_json": 2, "invalid_utf8": 1}


def test_each_element_of_a_list_is_a_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1, "in": {"items": [{"n": "x"}, {"n": "y"}]}}\n{"id": 2, "in": {"items": []}}\n{"id": 3}\n')
    found = read_sample(str(path), each="$.in.items")
    assert (found.columns, found.rows) == (("id", "$.in.items.n"), (("1", "x"), ("1", "y")))
    # a line that is a list, as an API answers, and a list within the elements of another one
    (tmp_path / "b.json").write_text(
        '[{"id": 1, "acts": [{"t": "x"}, {"t": "y", "items": [{"n": 1}, {"n": 2}]}]}, {"id": 2, "acts": []}]\n[]\n'
    )
    assert [row[0] for row in read_sample(str(tmp_path / "b.json"), each="$").rows] == ["1", "2"]
    nested = read_sample(str(tmp_path / "b.json"), each="$.acts.items")
    assert (nested.columns, nested.rows) == (
        ("id", "$.acts.t", "$.acts.items.n"),
        (("1", "y", "1"), ("1", "y", "2")),
    )
    assert nested.unread == {}
    (tmp_path / "a.csv").write_text("id,items\n1,2\n")
    with pytest.raises(Permanent, match="only lines of JSON have lists"):
        read_sample(str(tmp_path / "a.csv"), each="$.items")


def test_parquet_is_read_as_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    duckdb.sql("select 1 as id, 1.50::decimal(9,2) as amount, timestamp '2026-11-01 10:00:00' as at").write_parquet(
        str(path)
    )
    found = read_sample(str(path))
    assert (found.columns, found.rows) == (("id", "amount", "at"), (("1", "1.50", "2026-11-01T10:00:00.000000"),))
    path.write_text("no Parquet")
    with pytest.raises(Permanent, match="is no Parquet that can be read"):
        read_sample(str(path))


def test_variables_are_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    monkeypatch.setenv("EXPORTS", str(tmp_path))
    assert read_sample("${EXPORTS}/a.csv").place == "${EXPORTS}/a.csv"
    monkeypatch.delenv("EXPORTS")
    with pytest.raises(Permanent, match="EXPORTS"):
        read_sample("${EXPORTS}/a.csv")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nothing.csv", "did you mean noting.csv"),
        (".", "is a folder"),
        ("x-{date}.csv", "no file matches"),
        ("y**z", "no file matches"),
        ("empty.csv", "file is empty"),
        ("header.csv", "has no record"),
        ("a.zip", "cannot be opened as one"),
        ("\0", "does not exist"),
        ("~nobody-here/x", "does not exist"),
        ("erp.public.orders", "there is no connection 'erp' (AIRFLOW_CONN_ERP)"),
    ],
)
def test_a_place_without_records_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("a,b\n")
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 and nothing more")
    if "nothing" in place:
        (tmp_path / "noting.csv").write_text(CSV)
    with pytest.raises(Permanent) as caught:
        read_sample(place)
    assert said in str(caught.value) and caught.value.todo


def test_a_table_is_named_by_its_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert samples.table_of("erp.public.orders") == ("erp", "public.orders")
    assert samples.table_of("erp.sap-ecc.Invoice Heads") == ("erp", "sap-ecc.Invoice Heads")
    assert [samples.table_of(one) for one in ("a.b.csv", "a.csv", "./a.b.c", "a.csv.gz", "a.b")] == [None] * 5
    monkeypatch.setenv("AIRFLOW_CONN_ERP", "mysql://x")
    with pytest.raises(Permanent, match="does not read tables from: mysql"):
        read_sample("erp.public.orders")
    monkeypatch.setenv("AIRFLOW_CONN_ERP", "postgresql://nobody:secret@127.0.0.1:1/x")
    with pytest.raises(Transient, match="connection erp did not answer") as refused:
        read_sample("erp.public.orders")
    assert "secret" not in str(refused.value)


def test_a_table_is_sampled_with_its_key(shop: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with psycopg.connect(shop.database_url(), autocommit=True) as database:
        database.execute("create schema erp")
        columns = '"Line" int, no text, amount numeric(12,4), paid boolean, at timestamptz, gone int'
        database.execute(f'create table erp.lines ({columns}, primary key (no, "Line"))')
        database.execute("alter table erp.lines drop column gone")
        database.execute(
            "insert into erp.lines values (1, '007', 1.5, true, '2026-11-01 10:00+02'), (2, '007', null, false, null)"
        )
    monkeypatch.setenv("AIRFLOW_CONN_ERP", shop.database_url())
    found = read_sample("erp.erp.lines")
    assert (found.columns, found.key) == (("Line", "no", "amount", "paid", "at"), ("no", "Line"))
    assert sorted(found.rows) == [
        ("1", "007", "1.5000", "t", "2026-11-01 08:00:00+00"),
        ("2", "007", None, "f", None),
    ]
    assert found.is_whole and found.format == "table"
    assert len(read_sample("erp.erp.lines", rows=1).rows) == 1
    with pytest.raises(Permanent, match=r"there is no table erp\.Line; did you mean erp\.lines\?"):
        read_sample("erp.erp.Line")
    with psycopg.connect(shop.database_url(), autocommit=True) as database:
        database.execute("drop schema erp cascade")


@pytest.fixture
def erp(shop: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(shop.database_url(), autocommit=True) as database:
        database.execute("create schema erp")
        monkeypatch.setenv("AIRFLOW_CONN_ERP", shop.database_url())
        try:
            yield database
        finally:
            database.execute("drop schema erp cascade")


def test_of_a_large_table_the_rows_come_from_all_of_it(erp: psycopg.Connection[Any]) -> None:
    erp.execute(
        "create table erp.big as select n as no, repeat('x', 100) as filler from generate_series(1, 50000) as n"
    )
    erp.execute("analyze erp.big")
    found = read_sample("erp.erp.big", rows=5000)
    numbers = [int(row[0] or 0) for row in found.rows]
    assert 2500 <= len(set(numbers)) == len(numbers) <= 5000 and not found.is_whole
    tenths = {number * 10 // 50_001 for number in numbers}
    assert len(tenths) >= 8, tenths
    assert read_sample("erp.erp.big", rows=5000).rows == found.rows
    # of a view, and of a table that is small, the first rows
    erp.execute("create view erp.seen as select * from erp.big order by no desc")
    assert [row[0] for row in read_sample("erp.erp.seen", rows=3).rows] == ["50000", "49999", "49998"]
    erp.execute("create table erp.small as select n as no from generate_series(1, 15) as n")
    small = read_sample("erp.erp.small", rows=10)
    assert [row[0] for row in small.rows] == [str(number) for number in range(1, 11)] and not small.is_whole
    assert read_sample("erp.erp.small").is_whole


def test_of_partitions_and_wide_rows_the_sample_is_bounded(
    erp: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    erp.execute("create table erp.parts (no int, filler text) partition by range (no)")
    for part, (start, end) in enumerate(((1, 20_001), (20_001, 40_001))):
        erp.execute(f"create table erp.part_{part} partition of erp.parts for values from ({start}) to ({end})")
    erp.execute("insert into erp.parts select n, repeat('x', 200) from generate_series(1, 40000) as n")
    erp.execute("analyze erp.parts")
    found = read_sample("erp.erp.parts", rows=2000)
    assert {int(row[0] or 0) > 20_000 for row in found.rows} == {True, False}
    monkeypatch.setattr(samples, "_BYTES", 1 << 18)
    assert len(read_sample("erp.erp.parts", rows=40_000).rows) <= 1100


def test_a_table_is_read_as_a_landing_reads_it(erp: psycopg.Connection[Any]) -> None:
    erp.execute(
        "create table erp.odd (k char(6) primary key, paid boolean, at date, note text, amount double precision)"
    )
    erp.execute("insert into erp.odd values ('K7', true, '2026-11-01', '', 0.1), ('K10', true, null, E'a\nb', null)")
    found = read_sample("erp.erp.odd")
    assert found.rows == (("K7    ", "t", "2026-11-01", "", "0.1"), ("K10   ", "t", None, "a\nb", None))
    assert (found.kinds_of("paid"), found.kinds_of("k")) == ({BOOLEAN}, {TEXT})
    proposal = propose(Asked("odd", "erp.erp.odd"), found, datetime(2026, 11, 2, tzinfo=UTC))
    assert proposal.columns[1].type == "boolean" and proposal.columns[0].is_padded


def test_a_table_that_may_not_be_read_says_so(erp: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    erp.execute("create table erp.secret (no int)")
    erp.execute("create role reader_of_nothing login password 'pw'")
    try:
        erp.execute("grant usage on schema erp to reader_of_nothing")
        address = conninfo.make_conninfo(erp.info.dsn, user="reader_of_nothing", password="pw")
        parts = conninfo.conninfo_to_dict(address)
        host = quote(str(parts.get("host", "")), safe="")
        url = f"postgresql://reader_of_nothing:pw@/{parts['dbname']}?host={host}&port={parts.get('port', 5432)}"
        monkeypatch.setenv("AIRFLOW_CONN_ERP", url)
        with pytest.raises(Permanent) as caught:
            read_sample("erp.erp.secret")
        assert "permission" in str(caught.value) and "select" in caught.value.todo and "pw@" not in str(caught.value)
    finally:
        erp.execute("revoke usage on schema erp from reader_of_nothing")
        erp.execute("drop role reader_of_nothing")


def test_lines_are_split_as_landing_splits_them(tmp_path: Path) -> None:
    body = codecs.BOM_UTF8 + b'{"a": 1}\n{"a": "x\xe2\x80\xa8y"}\n{"a": NaN}\r\n{"a": 2}'
    (tmp_path / "a.jsonl").write_bytes(body)
    found = read_sample(str(tmp_path / "a.jsonl"))
    assert found.rows == (("x\u2028y",), ("2",)) and found.unread == {"broken_json": 2}


@pytest.mark.parametrize(
    ("name", "body", "form"),
    [
        ("part-0001", b'{"a": 1}\n', "json_lines"),
        ("a.txt", b"a;b\n1;2\n", "csv"),
        ("a.txt.gz", gzip.compress(b'{"a": 1}\n', mtime=0), "json_lines"),
        ("a.dat", b"\xe4;b\n1;2\n", "csv"),
    ],
)
def test_a_file_of_any_name_is_looked_into(tmp_path: Path, name: str, body: bytes, form: str) -> None:
    (tmp_path / name).write_bytes(body)
    assert read_sample(str(tmp_path / name)).format == form


@pytest.mark.parametrize(
    ("name", "body", "said", "todo"),
    [
        ("a.json", b'[\n {"a": 1}\n]\n', "one JSON document", "`jq -c '.[]' FILE`"),
        ("a.json", b'[{"a": 1}, {"a": 2}]', "one JSON document", "--each '$'"),
        ("a.json", b'{\n "a": 1\n}\n{\n "a": 2\n}\n', "one JSON document", "`jq -c . FILE`"),
        ("a.xlsx", b"PK\x03\x04", "a workbook is not read", "CSV in UTF-8"),
        ("a.csv", b"a,b\n1,2\n", None, ""),
    ],
)
def test_what_is_no_records_says_what_to_deliver(
    tmp_path: Path, name: str, body: bytes, said: str | None, todo: str
) -> None:
    (tmp_path / name).write_bytes(body)
    if said is None:
        assert read_sample(str(tmp_path / name)).rows
        return
    with pytest.raises(Permanent, match=said) as caught:
        read_sample(str(tmp_path / name))
    assert todo in caught.value.todo


def test_an_address_with_a_date_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="cannot be listed") as caught:
        read_sample("https://example.org/{date}.csv")
    assert "one day" in caught.value.todo
    with pytest.raises(Permanent, match="is not known"):
        read_sample(f"{tmp_path}/{{week}}.csv")


def test_a_first_file_of_ascii_is_in_the_encoding_of_the_last(tmp_path: Path) -> None:
    (tmp_path / "2026-11-01.csv").write_bytes(b"id;n\n1;x\n")
    (tmp_path / "2026-11-02.csv").write_bytes("id;n\n2;5 €\n".encode("cp1252"))
    found = read_sample(str(tmp_path / "{date}.csv"))
    assert found.csv == {"delimiter": ";", "encoding": "cp1252"} and found.rows == (("1", "x"), ("2", "5 €"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_of_a_large_file_the_last_row_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    rows = [f"{number};{'ä' * (number % 7)}x" for number in range(5000)]
    (tmp_path / "a.csv").write_bytes("\n".join(["id;n", *rows, ""]).encode(encoding))
    for size in range(2000, 2020):
        monkeypatch.setattr(samples, "_BYTES", size)
        found = read_sample(str(tmp_path / "a.csv"))
        assert [";".join(text or "" for text in row) for row in found.rows] == rows[: len(found.rows)]
        assert 50 < len(found.rows) < 5000 and not found.unread and not found.is_whole


def test_a_huge_file_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    line = b"1234567,abcdefghijklmnopqrstuvwxyz\n"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"id,n\n")
        for _ in range(12):
            file.write(line * (1 << 20))
    code = (
        "import re, sys; from pathlib import Path; from operations.samples import read_sample; found = read_sample(sys.argv[1]);"
        # not getrusage: a child's begins with the peak of the process that started it
        "peak = re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text());"
        "print(len(found.rows), found.is_whole, int(peak[1]) >> 10)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    rows, is_whole, mebibytes = done.stdout.split()
    assert (rows, is_whole) == ("100000", "False") and int(mebibytes) < 400  # of a file of 430 MiB


def test_a_title_before_the_header_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Statement;;\nfrom 1 November;;\ndate;amount;text\n1.11.;1,5;x\n2.11.;2,5;y\n")
    with pytest.raises(Permanent, match="3 of 4 rows have more or fewer columns") as caught:
        read_sample(str(tmp_path / "a.csv"))
    assert "header as the first line" in caught.value.todo
    (tmp_path / "b.csv").write_text(",id\n0,1\n")
    assert read_sample(str(tmp_path / "b.csv")).columns == ("column 1", "id")


def test_an_empty_file_does_not_hide_the_others(tmp_path: Path) -> None:
    for name, body in (("1.csv", "id\n1\n"), ("2.csv", "id\n2\n"), ("3.csv", "")):
        (tmp_path / name).write_text(body)
    assert read_sample(f"{tmp_path}/*.csv").rows == (("1",), ("2",))


def test_avro_is_read_as_texts(tmp_path: Path) -> None:
    fields = [
        {"name": "id", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ]
    schema = {"type": "record", "name": "row", "fields": fields}
    rows = [{"id": f"a{number}", "at": datetime(2026, 11, 1, 10, number, tzinfo=UTC)} for number in range(3)]
    with (tmp_path / "a.avro").open("wb") as file:
        fastavro.writer(file, schema, rows)
    found = read_sample(str(tmp_path / "a.avro"))
    assert found.format == "avro" and [row[0] for row in found.rows] == ["a0", "a1", "a2"]
    proposal = propose(Asked("things", "a.avro"), found, datetime(2026, 11, 2, tzinfo=UTC))
    assert (proposal.key, proposal.event_time, proposal.version) == (("id",), "at_value", "file_time")
    assert proposal.refused == ()
