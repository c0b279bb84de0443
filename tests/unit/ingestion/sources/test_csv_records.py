"""Read a CSV as records: good files as Python's csv does, and one refused record for each line that cannot be read."""

import codecs
import csv
import io
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ingestion.errors import Permanent
from ingestion.file_settings import Dialect
from ingestion.sources.csv_records import BROKEN_QUOTES, INVALID_UTF8, RAGGED, read

cells = st.text(st.sampled_from('ab ",\n\r;é🙂'), max_size=6)


@given(rows=st.lists(st.tuples(cells, cells, cells), max_size=8), end=st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_is_read(rows: list[tuple[str, str, str]], end: str) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("a", "b", "c"), *rows])
    body = file.getvalue().encode()
    table = read(body, "x.csv")
    found = list(table.records)
    assert table.columns == ("a", "b", "c")
    assert [one.fields for one in found] == [tuple(cell or None for cell in row) for row in rows]
    assert all(one.reason is None for one in found)
    assert b"".join(one.raw for one in found) == body.partition(end.encode())[2]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1", RAGGED),
        (b"1,2,3", RAGGED),
        (b"\xff,2", INVALID_UTF8),
        (b'"1,2', BROKEN_QUOTES),
        (b'"1"x,2', BROKEN_QUOTES),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_record_that_cannot_be_read_costs_itself_alone(line: bytes, reason: str, end: bytes) -> None:
    found = list(read(end.join([b"a,b", b"1,2", line, b"3,4", b""]), "x.csv").records)
    assert [(one.line, one.reason) for one in found] == [(2, None), (3, reason), (4, None)]
    assert found[1].raw == line + end and found[2].fields == ("3", "4")


def test_a_mark_at_the_start_and_commas_at_the_ends_are_none_of_it() -> None:
    table = read(b"\xef\xbb\xbf\r\na,b,\n1,2,\n\n", "x.csv")
    assert table.columns == ("a", "b") and [(one.line, one.fields) for one in table.records] == [(3, ("1", "2"))]


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"", "the file is empty"), (b"\n", "header is empty"), (b",,\n", "header is empty"), (b"\xff\n", "UTF-8")],
)
def test_a_header_without_names_is_an_error(body: bytes, said: str) -> None:
    with pytest.raises(Permanent, match=said):
        read(body, "x.csv")


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("a,a,b", ("a 1", "a 2", "b")),
        (",a,b", ("column 1", "a", "b")),
        ("a,,,b", ("a", "column 2", "column 3", "b")),
        ("a,a,a 1,column 5,,a", ("a 2", "a 3", "a 1", "column 5", "column 6", "a 4")),
    ],
)
def test_columns_that_share_a_name_or_have_none_get_one_of_their_own(header: str, columns: tuple[str, ...]) -> None:
    width = len(columns)
    table = read(f"{header}\n{','.join(map(str, range(width)))}\n".encode(), "x.csv")
    assert table.columns == columns and [one.fields for one in table.records] == [tuple(map(str, range(width)))]
    # where the header's names are values, such as currencies, one of them would be another value
    with pytest.raises(Permanent, match=r"twice|has no name for column"):
        read(f"{header}\n".encode(), "x.csv", are_kinds=True)


DIALECTS = [
    Dialect(delimiter=";", quote="'", encoding="latin-1"),
    Dialect(delimiter="\t", encoding="cp1252"),
    Dialect(delimiter="|", escape="\\", encoding="shift_jis"),
    Dialect(delimiter="§", encoding="utf-8-sig"),
    Dialect(encoding="utf-16"),
    Dialect(encoding="utf-16-be"),
    Dialect(encoding="utf-32"),
    Dialect(encoding="cp500"),  # a mainframe's, in which a comma is another byte
]
# Signs that each of these encodings has.
plain = st.text(st.sampled_from("abz ,;|\t'\"\\\n\r"), max_size=6)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.encoding)
@given(
    rows=st.lists(st.tuples(plain, plain), max_size=6), end=st.sampled_from(["\n", "\r\n"]), has_header=st.booleans()
)
def test_any_dialect_is_read_as_it_is_written(
    dialect: Dialect, rows: list[tuple[str, str]], end: str, has_header: bool
) -> None:
    file = io.StringIO(newline="")
    options = {"delimiter": dialect.delimiter, "quotechar": dialect.quote, "escapechar": dialect.escape}
    writer = csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL, **options)  # type: ignore[arg-type]
    writer.writerows([("a", "b"), *rows] if has_header else rows)
    table = read(
        file.getvalue().encode(dialect.encoding),
        "x.csv",
        dialect if has_header else replace(dialect, header=("a", "b")),
    )
    found = list(table.records)
    assert table.columns == ("a", "b")
    assert [one.fields for one in found] == [(first or None, second or None) for first, second in rows]
    assert all(one.reason is None for one in found)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "latin-1", "cp1252", "shift_jis", "utf-16", "utf-16-be", "utf-32", "cp500"]
)
@given(
    parts=st.lists(
        st.binary(max_size=4) | st.sampled_from([b"\n", b"\r", b"\0", b",", b'"', b"\n\0", b"\0\n", b"\r\0"])
    )
)
def test_whatever_the_bytes_are_each_is_in_one_record_or_in_an_empty_line(encoding: str, parts: list[bytes]) -> None:
    left = body = b"".join(parts)
    for mark in (codecs.BOM_UTF8,) if encoding == "utf-8" else (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        assume(not body.startswith(mark))
    found = list(read(body, "x.csv", Dialect(encoding=encoding, header=("a", "b"))).records)
    for record in found:
        before, there, left = left.partition(record.raw)
        assert there and not before.strip(b"\r\n\0\x25")
        assert record.text is None or record.reason
    assert not left.strip(b"\r\n\0\x25")


@pytest.mark.parametrize(
    ("encoding", "line", "reason", "text"),
    [
        ("cp1252", b"\x81,2\n", INVALID_UTF8, None),  # no sign in this encoding
        ("cp1252", b"\x80\n", RAGGED, "€\n"),
        ("utf-16-le", "1\n".encode("utf-16-le"), RAGGED, "1\n"),
        ("utf-16-le", b"\x00\xdc,\x002\x00\n\x00", INVALID_UTF8, None),  # half of a pair
        ("shift_jis", b"\x81\x00,2\n", INVALID_UTF8, None),
    ],
)
def test_a_refused_record_has_its_bytes_and_its_text_if_it_has_one(
    encoding: str, line: bytes, reason: str, text: str | None
) -> None:
    good = "1,2\n".encode(encoding)
    found = list(read(good + line + good, "x.csv", Dialect(encoding=encoding, header=("a", "b"))).records)
    assert [(one.line, one.reason) for one in found] == [(1, None), (2, reason), (3, None)]
    assert (found[1].raw, found[1].text) == (line, text)


def test_without_quotes_a_quote_is_a_sign_like_any_other() -> None:
    table = read(b'a\tb\n5" nails\t"x\n', "x.tsv", Dialect(delimiter="\t", quote=None))
    assert [one.fields for one in table.records] == [('5" nails', '"x')]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "shift_jis", "utf-16"])
def test_a_mark_of_another_encoding_is_said(encoding: str) -> None:
    body = codecs.BOM_UTF8 + "Größe,id\n1,2\n".encode()
    with pytest.raises(Permanent) as caught:
        read(body, "x.csv", Dialect(encoding=encoding))
    assert "starts with the mark of UTF-8" in caught.value.what and encoding in caught.value.what
    assert "`csv: {encoding: utf-8}`" in caught.value.todo
    assert read(body, "x.csv", Dialect(encoding="utf_8")).columns == ("Größe", "id")
    for marked in ("utf-16", "utf-32"):
        with pytest.raises(Permanent, match=f"mark of {marked.upper()}, but is read as utf-8"):
            read("a,b\n".encode(marked), "x.csv")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_line_that_tells_excel_the_delimiter_is_no_record(encoding: str, end: str) -> None:
    body = end.join(["sep=;", "id;x", "1;a", "2;b", ""]).encode(encoding)
    table = read(body, "x.csv", Dialect(delimiter=";", encoding=encoding))
    assert table.columns == ("id", "x")
    assert [(one.line, one.fields) for one in table.records] == [(3, ("1", "a")), (4, ("2", "b"))]
    named = read(end.join(["sep=;", "1;a", ""]).encode(), "x.csv", Dialect(delimiter=";", header=("id", "x")))
    assert [(one.line, one.fields) for one in named.records] == [(2, ("1", "a"))]
    with pytest.raises(Permanent) as caught:
        read(body, "x.csv", Dialect(encoding=encoding))
    assert "says that ';' separates" in caught.value.what and '`csv: {delimiter: ";"}`' in caught.value.todo
    assert read(b"sep=;,x\n1,2\n", "x.csv").columns == ("sep=;", "x")
