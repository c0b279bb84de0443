"""Read a CSV as records: good files as Python's csv does, and one refused record for each line that cannot be read."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.errors import Permanent
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
    table = read(b"\xef\xbb\xbfa,b,\n1,2,\n\n", "x.csv")
    assert table.columns == ("a", "b") and [one.fields for one in table.records] == [("1", "2")]


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"", "is empty"), (b"\n", "is empty"), (b"a,a\n", "a twice"), (b"a,,b\n", "column 2"), (b"\xff\n", "UTF-8")],
)
def test_a_header_without_names_is_an_error(body: bytes, said: str) -> None:
    with pytest.raises(Permanent, match=said):
        read(body, "x.csv")
