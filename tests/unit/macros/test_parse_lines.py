"""Parse lines and rows with the macro into typed columns or reasons; compare JSON numbers with decimals."""

import json
from decimal import Context, Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from tests.unit.macros.parsing import Row, lines, parsed

EVENT = '"event_id":"e","event_type":"click","event_time":"2026-11-01T10:00:00Z","visitor_id":"v"'


def events(folder: Path, *ends: str, **meta: object) -> list[Row]:
    """Parse events that each end in different fields."""
    return parsed("clickstream", folder, lines(f"{{{EVENT},{end}}}\n".encode() for end in ends), **meta)


def test_a_line_may_have_other_names(tmp_path: Path):
    names = {
        "event_type": "Event Type",
        "country": "it's",
        "quantity": "Anzahl (Stück)",
        "unit_price": "p.x",
        "properties": "data",
    }
    written = {
        "event_id": "e",
        "event_time": "2026-11-01T10:00:00Z",
        "visitor_id": "v",
        "Event Type": "click",
        "it's": "DE",
        "Anzahl (Stück)": 3,
        "p.x": 1.5,
        "data": {"a": 12345678901234567890},
        "country": "not this one",
    }
    texts = [written, written | {"Anzahl (Stück)": "3"}, written | {"Event Type": None}]
    read, odd, missing = parsed(
        "clickstream", tmp_path, lines(f"{json.dumps(one)}\n".encode() for one in texts), names=names
    )
    assert (read["event_type"], read["country"], read["quantity"], read["unit_price"]) == (
        "click",
        "DE",
        3,
        Decimal("1.5"),
    )
    assert json.loads(read["properties"]) == {"a": 12345678901234567890} and not read["reasons"]
    # a refusal names the contract's column, and the raw record keeps the source's name
    assert odd["reasons"] == ["wrong_type:quantity"] and json.loads(odd["raw"])["Anzahl (Stück)"] == "3"
    assert missing["reasons"] == ["missing:event_type"]


@pytest.mark.parametrize("path", ["$.p.o", "$.list[key=item].value"])
def test_json_at_a_path_is_json(tmp_path: Path, path: str):
    values = [{"a": 12345678901234567890}, {}, None, "text", '{"a": 1}', "", "null", 5, True, [1, "x"]]
    written = [json.dumps({"p": {"o": one}, "list": [{"key": "item", "value": one}]})[1:-1] for one in values]
    found = events(tmp_path, *written, '"p":null', '"p":"text"', names={"properties": path})
    assert [one["reasons"] for one in found] == [None] * 3 + [["wrong_type:properties"]] * 7 + [None] * 2
    # also what is refused: as a column of JSON it would otherwise end the whole build
    assert [one["properties"] and json.loads(one["properties"]) for one in found] == [*values, None, None]


def test_a_column_may_have_several_names_in_a_line(tmp_path: Path):
    names = {
        "event_type": ["event", "type"],
        "product_id": ["$.properties.sku", "$.params[key=item].value.text", "$.params[key=item].value.number"],
        "unit_price": ["price", "$.properties.price"],
    }
    common = {"event_id": "e", "event_time": "2026-11-01T10:00:00Z", "visitor_id": "v"}
    texts = [
        {"event": "click", "type": "track", "properties": {"sku": "a", "price": 1.5}},
        {
            "event": None,
            "type": "search",
            "params": [{"key": "item", "value": {"text": "b", "number": "2"}}],
            "price": 2,
        },
        {
            "type": "search",
            "params": [{"key": "item", "value": {"number": "3"}}],
            "price": "0.5",
            "properties": {"price": 9},
        },
        {"event": 7, "type": "search"},
        {"other": "search"},
    ]
    found = parsed(
        "clickstream", tmp_path, lines(f"{json.dumps(common | one)}\n".encode() for one in texts), names=names
    )
    assert [(one["event_type"], one["product_id"], one["unit_price"]) for one in found[:3]] == [
        ("click", "a", Decimal("1.5")),
        ("search", "b", Decimal("2")),
        ("search", "3", Decimal("0.5")),
    ]
    assert [one["reasons"] for one in found] == [None, None, None, ["wrong_type:event_type"], ["missing:event_type"]]
    (twice,) = parsed(
        "clickstream", tmp_path / "twice", lines([b'{%b,"event":"a","event":"a"}\n' % EVENT.encode()]), names=names
    )
    assert twice["reasons"] == ["duplicate_key"]


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path):
    marked, other = parsed(
        "clickstream", tmp_path, lines([b"\xef\xbb\xbf{%b}\r\n" % EVENT.encode(), b"\xef\xbb\xbf[]\n"])
    )
    assert (marked["event_id"], marked["reasons"]) == ("e", None)
    # a refused line is shown as it is
    assert (other["raw"], other["reasons"]) == ("\ufeff[]\n", ["not_an_object"])


@pytest.mark.parametrize(
    ("number", "price"),
    [
        ("19.99", "19.99"),
        ("-0.5", "-0.5"),
        ("20", "20"),
        ("-3", "-3"),
        ("0", "0"),
        ("0.0", "0"),
        ("1e2", "100"),
        ("1.25E-2", "0.0125"),
        ("1.5000000", "1.5"),
        ("12345678901234.5", "12345678901234.5"),
        ("12345678901234.50", "12345678901234.5"),
        ("0.0001", "0.0001"),
    ],
)
def test_a_price_may_be_a_number_that_is_exact(tmp_path: Path, number: str, price: str):
    (row,) = events(tmp_path, f'"unit_price":{number}')
    assert (row["reasons"], row["unit_price"]) == (None, Decimal(price))


@pytest.mark.parametrize(
    ("value", "reasons"),
    [
        ("12345678901234.56", ["too_many_digits:unit_price"]),
        ("90071992547409.93", ["too_many_digits:unit_price"]),
        ("9007199254740993e-2", ["too_many_digits:unit_price"]),
        ("1234567890123456", ["too_many_digits:unit_price"]),
        ("123456789012345678901234", ["too_many_digits:unit_price"]),
        ("0.30000000000000004", ["too_many_digits:unit_price", "too_many_decimals:unit_price"]),
        ("19.9900000000000000001", ["too_many_digits:unit_price", "too_many_decimals:unit_price"]),
        ("1.00001", ["too_many_decimals:unit_price"]),
        ("1e-5", ["too_many_decimals:unit_price"]),
        ("123456789012345", ["not_parsed:unit_price"]),
        ("1e300", ["not_parsed:unit_price"]),
        ("1e999", ["not_parsed:unit_price"]),
        ('"1e2"', ["not_parsed:unit_price"]),
        ("true", ["wrong_type:unit_price"]),
        ('{"a":1.5}', ["wrong_type:unit_price"]),
        ("[19.99]", ["wrong_type:unit_price"]),
    ],
)
def test_a_price_that_is_not_exact_is_refused(tmp_path: Path, value: str, reasons: list[str]):
    (row,) = events(tmp_path, f'"unit_price":{value}')
    assert row["reasons"] == reasons


def test_other_columns_take_the_numbers_they_took(tmp_path: Path):
    whole, fraction, number = events(
        tmp_path, '"quantity":9007199254740993,"properties":{"a":0.1234567890123456789}', '"quantity":2.0', '"url":1.5'
    )
    assert (whole["reasons"], whole["quantity"]) == (None, 9007199254740993)
    assert (fraction["reasons"], number["reasons"]) == (["wrong_type:quantity"], ["wrong_type:url"])


@pytest.mark.parametrize(
    "properties",
    [
        '{"a":1.00000000000000000001}',
        '{"a":[0.30000000000000004,-1.00000000000000000001e-30]}',
        '{"a":123456789012345678901234567890}',
        '{"a":"1.00000000000000000001","b \\\\\\" 2.00000000000000000002":3.00000000000000000003}',
    ],
)
def test_long_numbers_in_properties_stay_as_they_came(tmp_path: Path, properties: str):
    (row,) = events(tmp_path, f'"properties":{properties},"unit_price":19.99')
    assert (row["reasons"], row["unit_price"]) == (None, Decimal("19.99"))
    assert json.loads(row["properties"], parse_float=str) == json.loads(properties, parse_float=str)


def test_a_long_number_elsewhere_costs_nothing(tmp_path: Path):
    (row,) = events(tmp_path, '"zzz":1.00000000000000000001')
    assert row["reasons"] is None


numbers = st.builds(
    lambda sign, whole, fraction, exponent: sign + whole + fraction + exponent,
    st.sampled_from(["", "-"]),
    st.integers(0, 10**20).map(str),
    st.one_of(st.just(""), st.integers(0, 10**20).map(lambda digits: f".{digits:04d}")),
    st.one_of(st.just(""), st.integers(-12, 12).map(lambda power: f"e{power}")),
)


@settings(max_examples=10, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.lists(numbers, min_size=100, max_size=200))
@example(
    [
        "100.2184937787890e8",
        "0.00000000000000010e20",
        "-0",
        "0e5",
        "1e-12",
        "99999999999999.9999",
        "100000000000000000000e-8",
    ]
)
def test_whatever_the_number_it_is_exact_or_refused(some: list[str]):
    with TemporaryDirectory() as folder:
        rows = events(Path(folder), *(f'"unit_price":{one},"properties":{{"a":{one}}}' for one in some))
    for one, row in zip(some, rows, strict=True):
        if row["reasons"] is None:
            assert row["unit_price"] == Decimal(one)
            assert Decimal(json.loads(row["properties"], parse_float=str, parse_int=str)["a"]) == Decimal(one)
        else:
            exact = Context(prec=100).create_decimal(one).normalize(Context(prec=100))
            written = one.lstrip("-").partition("e")[0]
            written = written.rstrip("0") if "." in written else written
            digits = written.replace(".", "").lstrip("0")
            fits = len(digits) <= 15 and abs(exact) < 10**14 and exact.as_tuple().exponent >= -4
            assert not fits, (one, row["reasons"])


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_record_over_the_limit_is_refused_and_kept_in_part(tmp_path: Path, end: bytes):
    fits, long, bytes_ = (
        f'{{{EVENT},"url":"{"x" * 2000}"}}'.encode(),
        f'{{{EVENT},"url":"{"é" * 2000}"}}'.encode(),
        b"\xff" * 5000,
    )
    rows = parsed("clickstream", tmp_path, lines([fits + end, long + end, bytes_ + end]), longest_record=len(fits))
    assert [row["reasons"] for row in rows] == [None, ["too_long"], ["too_long"]]
    assert [row["raw"] for row in rows] == [None, long.decode()[:1000], "FF" * 500]
    assert [(row["source_file"], row["source_line"]) for row in rows[1:]] == [("a.jsonl", 2), ("a.jsonl", 3)]


def test_a_row_over_the_limit_is_refused_and_kept_in_part(tmp_path: Path):
    row = {
        "order_id": "o1",
        "currency": "EUR",
        "ordered_at": "2026-11-01 10:00:00+00",
        "updated_at": "2026-11-01 10:00:00+00",
    }
    names = ["customer_id", "status", "payment_method", "shipping_country", "total_amount"]
    table = pa.Table.from_pylist(
        [row | dict.fromkeys(names), row | dict.fromkeys(names) | {"status": "x" * 600, "payment_method": "y" * 600}],
        schema=pa.schema([(name, pa.string()) for name in (*row, *names)]),
    )
    _, long = parsed("orders", tmp_path, table, source="orders", longest_record=1000)
    assert long["reasons"] == ["too_long"]
    kept = json.loads(long["raw"])
    assert (kept["order_id"], kept["status"], len(long["raw"]) < 1000) == ("o1", "x" * 100, True)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"event_id":"1","event_ty', "half_line"),
        ('{"event_id":"é'.encode()[:-1], "half_line"),
        ('{"event_id":"€'.encode()[:-2], "half_line"),
        (b'{"event_id":"\xff\xff\xff\xff\xff', "invalid_utf8"),
        (b'{"event_id":"\xe9","event_type":"click"', "invalid_utf8"),
        (b"42", "not_an_object"),
    ],
)
def test_a_line_that_stops_is_told_from_a_broken_one(tmp_path: Path, line: bytes, reason: str):
    text = "invalid_utf8" if not line.isascii() else "not_an_object" if line == b"42" else "broken_json"
    cut, ended = parsed("clickstream", tmp_path, lines([line, line + b"\n"]))
    assert (cut["reasons"], ended["reasons"]) == ([reason], [text])
    (corrected,) = parsed("clickstream", tmp_path, lines([line]), source="corrections")
    assert corrected["reasons"] == [text], "a correction never ends in a newline"


def test_a_whole_last_line_needs_no_newline(tmp_path: Path):
    (row,) = parsed("clickstream", tmp_path, lines([f"{{{EVENT}}}".encode()]))
    assert row["reasons"] is None


def test_a_text_may_be_a_number_that_a_double_changes(tmp_path: Path) -> None:
    number, held = "0.1234567890123456789", '{"a":1234567890123456789.5}'
    texts = [f'{{"event_id":{one},"event_type":"x"}}\n'.encode() for one in (number, held, f'"{number}"', "12.50")]
    anything = {"json_types": ["string", "number", "object"]}
    deep = {"from": "$.event_id", **anything}
    for columns in ({"event_id": anything}, {"event_id": deep}):
        found = parsed("clickstream", tmp_path, lines(texts), columns=columns)
        assert [row["event_id"] for row in found] == [number, held, number, "12.5"]
