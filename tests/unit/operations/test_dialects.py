"""The dialect of a CSV is guessed so that landing it reads the rows that were written."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.errors import Permanent
from ingestion.file_settings import COMMAS, Dialect
from ingestion.sources import csv_records
from operations.dialects import differences, guess_dialect

WORDS = ["Tasse", "Größe 5", 'Kanne "alt"', "a,b", "x;y", "5 € | neu", "it's", ""]


def written(rows: list[list[str]], dialect: Dialect) -> bytes:
    text = io.StringIO()
    quoting = csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE
    writer = csv.writer(text, delimiter=dialect.delimiter, quotechar=dialect.quote, quoting=quoting)
    writer.writerows(rows)
    return text.getvalue().encode(dialect.encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@given(cells=st.lists(st.sampled_from(WORDS), min_size=5, max_size=30))
def test_rows_are_read_as_they_were_written(encoding: str, delimiter: str, cells: list[str]) -> None:
    rows = [["Artikel", "Größe", "Preis"], *([f"A{number}", cell, "1,50"] for number, cell in enumerate(cells))]
    body = written(rows, Dialect(delimiter=delimiter, encoding=encoding))
    table = csv_records.read(body, "x.csv", guess_dialect(body, "x.csv"))
    assert list(table.columns) == rows[0]
    assert [[text or "" for text in one.fields] for one in table.records] == rows[1:]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"id,name\n1,a\n2,b\n", {}),
        (b"id\n1\n2\n", {}),
        ("id;Straße\n1;Ä\n".encode("cp1252"), {"delimiter": ";", "encoding": "cp1252"}),
        ("id;n\n1;10 €\n".encode("cp1252"), {"delimiter": ";", "encoding": "cp1252"}),
        # a byte that cp1252 does not have
        (b"id;n\n1;\xe4\x81\n", {"delimiter": ";", "encoding": "latin-1"}),
        # a row in another encoding among many does not change the file's
        ("id;n\n1;ä\n2;ö\n3;".encode() + b"\xff\n", {"delimiter": ";"}),
        (b"sep=;\r\nid;n,m\r\n1;2,5\r\n", {"delimiter": ";"}),
        (b"sep=|\nid|n;m\n1|2;5\n", {"delimiter": "|"}),
        (b"'id','n'\n'1','a,b'\n'2','c'\n", {"quote": "'"}),
        (b'id,n\n1,"say \\"a, b\\" now"\n2,"x"\n', {"escape": "\\"}),
        (b'id\tn\n1\t"a" b\n2\t5" pipe\n3\t"c" d\n', {"delimiter": "\t", "quote": "none"}),
        (b'1\t2026-11-01\t{"a":"b"}\n', {"delimiter": "\t", "header": ["column_1", "column_2", "column_3"]}),
        (b"name;a@example.org\nx;y\n", {"delimiter": ";", "header": ["column_1", "column_2"]}),
        (b"country,2024,2025\nDE,1,2\n", {}),
    ],
)
def test_what_a_contract_would_say(body: bytes, expected: dict[str, object]) -> None:
    assert differences(guess_dialect(body, "x.csv")) == expected


def test_a_few_ragged_rows_do_not_hide_the_delimiter() -> None:
    rows = [f"{number};{number},50;x;y" for number in range(100)]
    rows[7] = rows[50] = "1;2"
    body = "\n".join(["a;b;c, d;e", *rows, ""]).encode()
    assert guess_dialect(body, "x.csv") == Dialect(delimiter=";")


def test_names_that_repeat_do_not_hide_the_delimiter() -> None:
    assert guess_dialect(b"\r\nid;name;name;\n1;a;b;\n2;a;b;\n", "x.csv") == Dialect(delimiter=";")


def test_a_header_that_no_dialect_reads_is_an_error() -> None:
    with pytest.raises(Permanent, match="file is empty"):
        guess_dialect(b"", "x.csv")
    assert differences(COMMAS) == {}
