"""A sample has the source's exact texts, of the first and the last file, and counts what cannot be read."""

import gzip
import json
import zipfile
from pathlib import Path

import duckdb
import psycopg
import pytest
import zstandard

from ingestion.errors import Permanent, Transient
from ingestion.home import Home
from operations import samples
from operations.guesses import BOOLEAN, FRACTION, LIST, NUMBER, OBJECT, STRING, TEXT
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
    (tmp_path / "a.csv").write_bytes(b'id,name\n1,a\n1,a,b\n2,\xff\n3,"x"y\n4,b\n')
    found = read_sample(str(tmp_path / "a.csv"))
    assert found.rows == (("1", "a"), ("4", "b"))
    assert found.unread == {"ragged_row": 1, "invalid_utf8": 1, "broken_quoting": 1}


@pytest.mark.parametrize(
    ("body", "dialect"),
    [
        ("id;Straße\n1;a,b\n2;c\n".encode(), {"delimiter": ";"}),
        ("id\tStraße\n1\ta,b\n2\tc\n".encode(), {"delimiter": "\t"}),
        ("id;Straße\n1;Ä\n2;Ö\n3;Ü\n".encode("latin-1"), {"delimiter": ";", "encoding": "latin-1"}),
        ("id,Straße\n1,Ä\n2,Ö\n3,Ü\n".encode("latin-1"), {"encoding": "latin-1"}),
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


def test_the_first_and_the_last_file_of_a_pattern_are_read(tmp_path: Path) -> None:
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
    assert found.columns == ("a", "b", "c", "d", "e", "g") and found.format == "json_lines"
    assert found.rows[0] == ("1", "x", None, None, None, None)
    assert found.rows[1][:4] == ("1.50", None, None, "true") and json.loads(found.rows[1][5] or "") == ["1"]
    kinds = [set(found.kinds_of(name)) for name in found.columns]
    assert kinds == [{NUMBER, FRACTION}, {STRING}, set(), {BOOLEAN}, {OBJECT}, {LIST}]
    assert found.unread == {"not_an_object": 1, "broken_json": 2, "invalid_utf8": 1}


def test_parquet_is_read_as_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    duckdb.sql("select 1 as id, 1.50::decimal(9,2) as amount, timestamp '2026-11-01 10:00:00' as at").write_parquet(
        str(path)
    )
    found = read_sample(str(path))
    assert (found.columns, found.rows) == (("id", "amount", "at"), (("1", "1.50", "2026-11-01 10:00:00"),))
    path.write_text("no Parquet")
    with pytest.raises(Permanent, match="is not Parquet"):
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
        ("empty.csv", "header"),
        ("header.csv", "has no record"),
        ("a.zip", "cannot be read"),
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
    (tmp_path / "a.zip").write_text("PK")
    if "nothing" in place:
        (tmp_path / "noting.csv").write_text(CSV)
    with pytest.raises(Permanent) as caught:
        read_sample(place)
    assert said in str(caught.value) and caught.value.todo


def test_a_table_is_named_by_its_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert samples.table_of("erp.public.orders") == ("erp", "public.orders")
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
        ("1", "007", "1.5000", "true", "2026-11-01 08:00:00+00"),
        ("2", "007", None, "false", None),
    ]
    assert found.is_whole and found.format == "table"
    assert len(read_sample("erp.erp.lines", rows=1).rows) == 1
    with pytest.raises(Permanent, match=r"there is no table erp\.nothing"):
        read_sample("erp.erp.nothing")
    with psycopg.connect(shop.database_url(), autocommit=True) as database:
        database.execute("drop schema erp cascade")
