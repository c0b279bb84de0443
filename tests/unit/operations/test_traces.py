"""A person's traces are found however they are written and wherever they lie, and those of others are left alone."""

import gzip
import json
import sqlite3
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from operations.traces import Traces, blank_file, blank_tables, find, search

TRACES = Traces(
    {"customer_id": ("cust-17", "7")}, ("Ann.Müller@x.example", "O'Neil \\ Co"), {"customer_id": ("Kunde",)}
)
THEIRS = {
    "mail ann.müller@X.example.": "mail [forgotten].",
    json.dumps({"name": "Ann.Müller@x.example"}): '{"name": "[forgotten]"}',
    json.dumps({"name": "O'Neil \\ Co"}): '{"name": "[forgotten]"}',
    "/p?mail=Ann.M%C3%BCller%40x.example&x": "/p?mail=[forgotten]&x",
    "next=%2Fp%3Fid%3Dcust-17%26a": "next=%2Fp%3Fid%3D[forgotten]%26a",
    "hex " + "Ann.Müller@x.example".encode().hex().upper(): "hex [forgotten]",
    str("by Ann.Müller@x.example".encode()): "b'by [forgotten]'",
    str("by Ann.Müller@x.example".encode("latin-1")): "b'by [forgotten]'",
    "cust-17,cust-17 cust-17": "[forgotten],[forgotten] [forgotten]",
    '{"customer_id": "7", "a": 7}': '{"customer_id": "[forgotten]", "a": 7}',
    """{'Kunde': '7'}""": "{'Kunde': '[forgotten]'}",
    json.dumps(
        {"examples": json.dumps([{"customer_id": "7"}])}
    ): '{"examples": "[{\\"customer_id\\": \\"[forgotten]\\"}]"}',
}
OTHERS = (
    "mary-ann.müller@x.example",
    "joann.müller@x.example",
    "cust-171",
    "cust-17-2",
    "my-cust-17",
    '{"customer_id": "77"}',
    '{"quantity": 7}',
    "7",
)


@pytest.mark.parametrize("text", THEIRS)
def test_a_trace_is_found_and_blanked_by_python_and_by_sql(text: str) -> None:
    assert TRACES.are_in(text) and TRACES.are_in(text.encode())
    assert TRACES.blank(text) == THEIRS[text] == TRACES.blank_bytes(text.encode()).decode()
    with duckdb.connect() as connection:
        assert connection.execute(f"select {TRACES.sql('$1')}", [text]).fetchone() == (True,)


@pytest.mark.parametrize("text", OTHERS)
def test_what_belongs_to_others_is_left_alone(text: str) -> None:
    assert not TRACES.are_in(text) and TRACES.blank(text) == text
    with duckdb.connect() as connection:
        assert connection.execute(f"select {TRACES.sql('$1')}", [text]).fetchone() == (False,)


def test_every_kind_of_file_is_searched_inside(tmp_path: Path) -> None:
    said = "about cust-17"
    (tmp_path / "a.log").write_text(said)
    (tmp_path / "b.gz").write_bytes(gzip.compress(said.encode()))
    with pa.output_stream(str(tmp_path / "c.zst"), compression="zstd") as file:
        file.write(said.encode())
    pq.write_table(pa.table({"x": [[said]]}), tmp_path / "d.parquet")
    pq.write_table(pa.table({"customer_id": ["7"]}), tmp_path / "e.parquet")
    with duckdb.connect(str(tmp_path / "f.duckdb")) as base:
        base.execute(f"create table t as select ['{said}'] as x from range(10000)")
    with duckdb.connect(str(tmp_path / "g.duckdb")) as base:
        base.execute("create table t as select '7' as customer_id")
    base = sqlite3.connect(tmp_path / "h.db")
    base.execute("create table t (x text)")
    base.execute("insert into t values (?)", [said])
    base.commit()
    base.close()
    (tmp_path / "i cust-17.txt").touch()
    (tmp_path / "others.txt").write_text(" ".join(OTHERS))
    found = {path.name[0]: where for path, where in search(sorted(tmp_path.iterdir()), TRACES)}
    assert found == {
        "a": "its text",
        "b": "its text",
        "c": "its text",
        "d": "column x",
        "e": "column customer_id",
        "f": "main.t",
        "g": "main.t",
        "h": "table t",
        "i": "its name",
    }


def test_rows_that_are_deleted_are_found_in_freed_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    with duckdb.connect(str(path)) as base:
        base.execute("create table t as select 'cust-17' || ' ' || range as x from range(3000)")
        base.execute("checkpoint")
        base.execute("drop table t")
        base.execute("checkpoint")
    assert find(path, TRACES) in ("freed blocks", "")
    path.write_bytes(path.read_bytes() + b" cust-17 ")
    assert find(path, TRACES) == "freed blocks"


def test_what_cannot_be_searched_says_so(tmp_path: Path) -> None:
    for name in ("a.parquet", "b.duckdb"):
        (tmp_path / name).write_bytes(b"garbage" * 1000)
        assert find(tmp_path / name, TRACES).startswith("it cannot be read")


def test_texts_are_blanked_and_databases_are_not_touched(tmp_path: Path) -> None:
    text, packed, binary, others = (tmp_path / name for name in ("a.log", "b.gz", "c.bin", "d.txt"))
    text.write_text("cust-17 came")
    text.chmod(0o640)
    packed.write_bytes(gzip.compress(b"cust-17 came"))
    binary.write_bytes(b"\0cust-17 ")
    others.write_text(OTHERS[0])
    assert [blank_file(path, TRACES) for path in (text, packed, binary, others)] == [True, True, False, False]
    assert text.read_text() == "[forgotten] came" and text.stat().st_mode & 0o777 == 0o640
    assert gzip.decompress(packed.read_bytes()) == b"[forgotten] came"
    assert binary.read_bytes() == b"\0cust-17 " and others.read_text() == OTHERS[0]
    assert not blank_file(tmp_path / "gone", TRACES)
    assert len(list(tmp_path.iterdir())) == 4


def test_the_rows_of_chosen_tables_are_blanked() -> None:
    with duckdb.connect() as base:
        base.execute("create schema ops")
        base.execute(
            "create table ops.findings as select 'see cust-17' as examples, 1 as n union all select 'see 7', 2"
        )
        base.execute("create table ops.other as select 'see cust-17' as x")
        assert blank_tables(base, "ops", ["findings"], TRACES) == 1
        assert base.execute("select examples from ops.findings order by n").fetchall() == [
            ("see [forgotten]",),
            ("see 7",),
        ]
        assert base.execute("from ops.other").fetchall() == [("see cust-17",)]
