"""A COPY is kept in bronze as the same text, however it is split into chunks; also rows that are not UTF-8."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingestion.errors import Permanent
from ingestion.names import NOT_UTF8
from ingestion.sources import copied
from ingestion.sources.postgres import snapshot

Table = list[tuple[str | None, ...]]
MARK = "\ufeff"
ODD = [
    "",
    MARK,
    MARK + MARK,
    f"{MARK}b1",
    '"',
    '""',
    ",",
    "\n",
    "\r",
    "\r\n",
    "\\.",
    "\\N",
    "NULL",
    " a ",
    "\t",
    "-",
    "\x01",
]
texts = st.one_of(
    st.none(),
    st.sampled_from(ODD),
    st.text(st.sampled_from([*'",\r\n\\ a', MARK, "é", "🙂", "\x85", "\u2028"]), max_size=12),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
)
tables = st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[texts] * width), min_size=1, max_size=20))


def as_csv(row: tuple[str | None, ...]) -> bytes:
    """Write a row as Postgres does: null is empty, and text that CSV would change is quoted."""
    cells = ["" if text is None else text for text in row]
    quoted = [
        text is not None and (not text or any(sign in text for sign in '",\r\n') or text == "\\." or text[0] == " ")
        for text in row
    ]
    return (
        ",".join('"' + cell.replace('"', '""') + '"' if q else cell for cell, q in zip(cells, quoted, strict=True))
        + "\n"
    ).encode()


def parquet(folder: Path, brought: copied.Copied) -> pa.Table:
    found = pa.concat_tables(pq.read_table(folder / file.name) for file in brought.files)
    assert found["record_no"].to_pylist() == list(range(1, brought.records + 1))
    return found.drop_columns("record_no")


def rows_of(table: pa.Table) -> Table:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path


def emptied(folder: Path) -> Path:
    for path in folder.iterdir():
        path.unlink()
    return folder


@example([(MARK,)] * 3, 1)
@example([(None,)], 100)
@given(tables, st.sampled_from([1, 10, 100, 1 << 20]))
@settings(max_examples=150)
def test_any_text_arrives_as_it_is_however_it_is_cut(tmp_path_factory: Any, table: Table, chunk: int) -> None:
    folder = tmp_path_factory.mktemp("copied")
    names = [f"c{n}" for n in range(len(table[0]))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copied, "CHUNK_BYTES", chunk)
        brought = copied.write(folder, [(",".join(names) + "\n").encode(), *map(as_csv, table)])
    assert rows_of(parquet(folder, brought)) == table
    assert brought.columns == tuple(names)


def test_the_checksum_is_of_what_came_not_of_how_it_was_cut(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [b"a\n", *(f"{MARK}{n}\n".encode() for n in range(50))]
    seen = set()
    for chunk in (1, 40, 1 << 20):
        monkeypatch.setattr(copied, "CHUNK_BYTES", chunk)
        seen.add(copied.write(emptied(folder), rows).sha256)
    assert len(seen) == 1
    assert copied.write(emptied(folder), rows[:-1]).sha256 not in seen


def test_a_column_of_one_value_is_added_and_is_no_part_of_the_checksum(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [b"a,Seen\n", *(f"{n},x\n".encode() for n in range(5))]
    monkeypatch.setattr(copied, "CHUNK_BYTES", 8)
    brought = copied.write(folder, rows, more={"seen": "now"})
    assert brought.columns == ("a", "Seen", "seen") and brought.renamed == {"Seen": "Seen_2"}
    assert rows_of(parquet(folder, brought)) == [(str(n), "x", "now") for n in range(5)]
    assert brought.sha256 == copied.write(emptied(folder), rows).sha256


def bring(
    url: str, folder: Path, query: str = "select * from t order by n", key: tuple[str, ...] = ("n",)
) -> copied.Copied:
    with snapshot(url) as connection:
        return copied.copy(connection, folder, query, table="public.t", key=key)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=20), st.sampled_from([1, 30, 1 << 20]))
@settings(max_examples=60)
def test_any_text_of_a_real_database_is_the_same_bytes_in_bronze(
    tmp_path_factory: Any, postgres: str, table: Table, chunk: int
) -> None:
    folder = tmp_path_factory.mktemp("copied")
    with psycopg.connect(postgres) as connection:
        connection.execute("drop table if exists t")
        connection.execute("create table t (a text, n serial, b text)")
        connection.cursor().executemany("insert into t (a, b) values (%s, %s)", table)
        expected = connection.execute(
            "select convert_to(a, 'UTF8'), convert_to(b, 'UTF8') from t order by n"
        ).fetchall()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copied, "CHUNK_BYTES", chunk)
        found = parquet(folder, bring(postgres, folder))
    assert [tuple(None if text is None else text.encode() for text in (a, b)) for a, _, b in rows_of(found)] == [
        tuple(None if value is None else bytes(value) for value in row) for row in expected
    ]


@pytest.fixture
def database(postgres: str) -> Iterator[Any]:
    """Yield a function that makes a database in an encoding, with a table `t (n int, a text, b text)` of rows given as bytes."""
    made: set[str] = set()

    def make(encoding: str, *rows: tuple[bytes, bytes]) -> str:
        name = f"in_{encoding.lower()}"
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(f"drop database if exists {name}")  # type: ignore[call-overload]
            connection.execute(
                f"create database {name} encoding '{encoding}' template template0 lc_collate 'C' lc_ctype 'C'"  # type: ignore[call-overload]
            )
        made.add(name)
        url = postgres.rpartition("/")[0] + f"/{name}"
        with psycopg.connect(url, client_encoding="SQL_ASCII") as connection:
            connection.execute("create table t (n int, a text, b text)")
            with connection.cursor().copy("copy t from stdin") as into:
                for number, (a, b) in enumerate(rows, 1):
                    into.write(str(number).encode() + b"\t" + a + b"\t" + b + b"\n")
        return url

    yield make
    with psycopg.connect(postgres, autocommit=True) as connection:
        for name in made:
            connection.execute(f"drop database {name}")  # type: ignore[call-overload]


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1252", "KOI8R", "EUC_JP"])
def test_another_encoding_that_converts_is_converted(database: Any, folder: Path, encoding: str) -> None:
    codec = {"LATIN1": "latin-1", "WIN1252": "cp1252", "KOI8R": "koi8-r", "EUC_JP": "euc_jp"}[encoding]
    text = {"KOI8R": "Привет", "EUC_JP": "漢字テスト"}.get(encoding, "déjà")
    url = database(encoding, (text.encode(codec), b"plain"))
    assert rows_of(parquet(folder, bring(url, folder))) == [("1", text, "plain")]


# SQL_ASCII converts nothing. In the other encodings, the bad bytes stand for no character.
@pytest.mark.parametrize(
    ("encoding", "good", "bad", "escaped"),
    [
        ("SQL_ASCII", "déjà 🙂".encode(), b'caf\xe9, "x"', 'caf\\xe9, "x"'),
        ("WIN1252", "déjà €".encode("cp1252"), b"\x81\x93", "\\x81“"),
        ("EUC_JP", "漢字".encode("euc_jp"), b"\xa9\xa1,", "\\xa9\\xa1,"),
    ],
)
def test_bytes_that_mean_nothing_cost_their_row_alone(
    database: Any, folder: Path, encoding: str, good: bytes, bad: bytes, escaped: str
) -> None:
    codec = copied.codecs.lookup({"SQL_ASCII": "utf-8", "WIN1252": "cp1252"}.get(encoding, encoding)).name
    url = database(
        encoding, (good, b"\xef\xbb\xbf" if encoding == "SQL_ASCII" else b"x"), (b"k", bad), (b"\\N", b""), (bad, bad)
    )
    brought = bring(url, folder, key=("n", "a"))
    found = parquet(folder, brought).to_pylist()
    first = found.pop(0)
    assert (first["a"], first["b"], first[NOT_UTF8]) == (
        good.decode(codec), MARK if encoding == "SQL_ASCII" else "x", None
    )  # fmt: skip
    assert found == [
        {"n": "2", "a": "k", "b": escaped, NOT_UTF8: [("b", bad)]},
        {"n": "3", "a": None, "b": "", NOT_UTF8: None},
        {"n": "4", "a": escaped, "b": escaped, NOT_UTF8: [("a", bad), ("b", bad)]},
    ]
    quoted = {'caf\\xe9, "x"': '"caf\\xe9, ""x"""', "\\xa9\\xa1,": '"\\xa9\\xa1,"'}.get(escaped, escaped)
    assert brought.messages == (
        f"public.t: n 2, a k: b is not {codec}",
        f"public.t: n 4, a {quoted}: a, b is not {codec}",
    )
    assert brought.records == 4
    assert bring(url, emptied(folder)).sha256 == brought.sha256


def test_many_bad_rows_are_counted_and_a_few_named(
    database: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copied, "CHUNK_BYTES", 50)
    url = database("SQL_ASCII", *[(b"\xff%d" % n, b"x") for n in range(2000)])
    brought = bring(url, folder)
    assert len(brought.messages) == 11 and brought.messages[-1] == "public.t: 1,990 more rows are not utf-8"
    kept = parquet(folder, brought)
    assert [row[0][1] for row in kept[NOT_UTF8].to_pylist()] == [b"\xff%d" % n for n in range(2000)]


def test_other_bytes_are_another_batch_even_where_their_text_is_the_same(database: Any, folder: Path) -> None:
    one = bring(database("SQL_ASCII", (b"\xe9", b"\xe9")), folder)
    other = bring(database("SQL_ASCII", (b"\xe9", b"\\\\xe9")), emptied(folder))
    assert one.sha256 != other.sha256


def test_the_client_is_as_it_was_afterwards(database: Any, folder: Path) -> None:
    with snapshot(database("SQL_ASCII", (b"\xe9", b""))) as connection:
        copied.copy(connection, folder, "select * from t", table="t", key=("n",))
        assert connection.execute("show client_encoding").fetchone() == ("UTF8",)
        assert connection.execute("select 'é'").fetchone() == ("é",)


def test_an_encoding_that_python_does_not_know_says_so_where_the_database_cannot_convert(
    database: Any, folder: Path
) -> None:
    assert rows_of(parquet(folder, bring(database("EUC_TW", (b"\xc4\xe3", b"x")), folder))) == [("1", "中", "x")]
    with pytest.raises(Permanent, match=r"EUC_TW .*public\.t"):
        bring(database("EUC_TW", (b"\x8e\xa7\xfe\xfe", b"x")), folder)
