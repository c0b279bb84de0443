"""Texts that a source writes in its own way are the same on Spark: numbers, times, parts of texts, rows without a key, searched lists."""

import json
import re
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from tests.spark.reading import Asked, assert_equal, both
from tests.spark.test_parse import ANYTHING, VALUES
from tests.unit.macros.parsing import lines

pytestmark = pytest.mark.spark

NUMBER_TEXTS = """
12.50 -12.50 +12.50 12,50 1.234,56 1,234.56 1.234.567,89 1,234,567.89 1'234.50 1\u2019234.50 1_234 .5 ,5 5. 5, -.5 12 -0 00012 12- 12.50- 1.234,56-
--1 -12- +12- 1e5 nan -Infinity 99999999999999999999 123456789012345678901234567890123456789012 1.0000000000000000000000000000000000000000000000
0.12340000 0.12345 1,23.50 1.23,5 1..2 1.2.3 (5) () ((5)) (1,234.50) (1.234,50) (-5) (5-) \u0663 , - 0.5 7
"""
BLANKS_IN_NUMBERS = "|1 234,50|1\u00a0234,50|1\u202f234\u202f567,5|1 23| 12|12 \u202f|12\n|12\t|1 234,56 -| |?5"
NUMBERS = NUMBER_TEXTS.split() + BLANKS_IN_NUMBERS.split("|")
SIGNS = ("$", "€", "EUR", "US $", "%", "x")
NUMBER_META: list[dict[str, Any]] = [
    {"decimal": ","},
    {"decimal": ",", "thousands": "."},
    {"thousands": ","},
    {"thousands": "'"},
    {"thousands": " ", "decimal": ","},
    {"symbol": "$", "thousands": ","},
    {"symbol": ["€", "EUR", "US $"], "decimal": ",", "thousands": "."},
    {"percent": True},
    {"percent": True, "decimal": ",", "thousands": ".", "symbol": "EUR", "missing": ["7"]},
    {"thousands": ",", "symbol": "$", "missing": ["-", "$"], "values": {"7": "seven", "12": "/5.*/"}},
]


def written_numbers() -> list[str]:
    """Return numbers with each sign, and blanks and parentheses, in each place beside them."""
    shapes = (
        "{s}{n}",
        "{n}{s}",
        "{s} {n}",
        "{n}\u00a0{s}",
        "-{s}{n}",
        "({s}{n})",
        "{s}({n})",
        "({n}) {s}",
        "{s}{n}{s}",
    )
    return NUMBERS + [shape.format(s=s, n=n) for shape, s, n in product(shapes, SIGNS, NUMBERS)]


def rows(texts: list[dict[str, str | None]]) -> pa.Table:
    names = list(dict.fromkeys(name for row in texts for name in row))
    return pa.table({name: pa.array([row.get(name) for row in texts], pa.string()) for name in names})


@pytest.mark.parametrize("meta", NUMBER_META, ids=str)
def test_a_number_is_the_same_however_it_is_written(asked: Asked, tmp_path: Path, meta: dict[str, Any]) -> None:
    whole = {name: said for name, said in meta.items() if name != "percent"}
    texts = [
        {"order_id": "o", "line_number": str(number), "unit_price": text, "quantity": text}
        for number, text in enumerate(written_numbers())
    ]
    columns = {"unit_price": meta, "quantity": whole}
    one, other = both(asked, tmp_path, "order_items", rows(texts), columns=columns)
    assert_equal(one, other, texts)
    read = [row for row in one if row["unit_price"] is not None]
    assert len(read) > 10 and any(row["reasons"] is None for row in read) != bool(meta.get("percent"))


COUNT_TEXTS = """
0 -0 -1 1 1790000000 1790000000.25 1790000000.123456 1790000000.1234567 -0.5 -0.0000001 .5 5. +5 999999999999 253402300799 253402300800
-62135596800 -62135596801 1790000000123.0005 1790000000123.5 1790000000123456 1790000000123456.5 -1790000000123456.5 123456789012345678.5
999999999999999 1234567890123456789 1e9 007 --1 1,5 \u0663 44197 44197.5 44197.520833333336 60.9 60.99999999 60.999999999 61 2958465 2958466
2958465.9999999 2958465.999999999 44197.0000000057870370 44197.0000000173611111 44197.1234567890123456 44197.12345678901234567
"""
BLANKS_IN_COUNTS = "| 1|1 |1\n|2026-10-25 02:30:00|2026-03-29T02:30:00|2024-02-30"
COUNTS = COUNT_TEXTS.split() + BLANKS_IN_COUNTS.split("|")
# What may stand for each part of a time, the usual first.
PARTS = {
    "%Y": "2026 2024 0000 0001 9999 1900 20240 24",
    "%y": "26 68 69 00 99 1 024",
    "%m": "10 3 01 1 12 0 13 02 011",
    "%d": "25 29 1 01 31 30 0 32 011",
    "%H": "02 2 00 12 23 24 13",
    "%I": "12 1 02 2 0 13 00",
    "%M": "30 0 59 60 5",
    "%S": "00 7 59 60",
    "%f": "5 123456 000001 10 1234567",
    "%b": "Oct mAr FEB Foo Sept \u017fep",
    "%B": "October mAy FEBRUARY Sept Foo Mayo",
    "%a": "Sun mON Foo Thur",
    "%A": "Sunday MONDAY Someday Wednesday Mon",
    "%p": "PM am aM xm a.m.",
    "%z": "+02:00 -0530 -00:30 +05:75 +99:99 -9999 +5:30 Z +05",
}
FORMATS = [
    *(
        "%d/%m/%Y %H:%M",
        "%m/%d/%y %I:%M %p",
        "%Y-%m-%d %H:%M:%S UTC",
        "%Y-%m-%dT%H:%M:%S.%f%z",
        "%a %b %d %Y",
        "%A, %B %d, %Y",
        "%d. %b '%y",
    ),
    *(
        "%Y%m%d %H%M%S",
        "%Y%m%d%H%M%S%f",
        "%m/%d/%Y %H%M",
        "%Y",
        "%B%Y",
        "%Y%B%d",
        "%H:%M:%f%S %Y",
        "%d0%m %Y",
        "%Y %p",
        "%H %p %Y",
        "%z%Y",
    ),
    *("%Y $(%d)\\%m|%H*", "%Y年%m月%d日", "%dth %B %y", "%b,%a,%Y", "%Y %m "),
]


def written_times(format: str) -> list[str]:
    """Return texts of a format: the usual ones, each odd part in its place, many at once, and texts that hardly have the format."""
    given = re.findall("%.|[^%]", format)
    choices = [PARTS[one].split() if one in PARTS else [one] for one in given]
    usual = [one[0] for one in choices]
    texts = ["".join(usual)]
    for place, one in enumerate(choices):
        texts += ["".join([*usual[:place], odd, *usual[place + 1 :]]) for odd in one[1:]]
    pick = Random(1)
    texts += ["".join(pick.choice(one) for one in choices) for _ in range(60)]
    text = texts[0]
    return [
        *texts,
        f" {text}",
        f"{text} ",
        f"{text}\n",
        f"{text}0",
        text[:-1],
        text.upper(),
        text.replace(" ", "  "),
        "",
        "00000000",
    ]


TIME_META: list[dict[str, Any]] = [
    *({"time_format": one} for one in ("seconds", "milliseconds", "microseconds", "excel", *FORMATS)),
    {"time_format": "excel", "timezone": "America/New_York"},
    *({"time_format": one, "timezone": "Europe/Berlin"} for one in ("seconds", *FORMATS[:6])),
    {
        "time_format": ["iso", "%Y-%m-%d", "%d.%m.%Y", "%Y%m%d", "seconds"],
        "timezone": "Australia/Lord_Howe",
        "missing": "00000000",
    },
]


@pytest.mark.parametrize("meta", TIME_META, ids=str)
def test_a_time_is_the_same_however_it_is_written(asked: Asked, tmp_path: Path, meta: dict[str, Any]) -> None:
    formats = meta["time_format"] if isinstance(meta["time_format"], list) else [meta["time_format"]]
    times = [text for one in formats for text in (written_times(one) if "%" in one else COUNTS)]
    texts = [
        {"order_id": f"o{number}", "status": "paid", "currency": "EUR", "ordered_at": text}
        for number, text in enumerate(times)
    ]
    texts += [{**row, "updated_at": row["ordered_at"], "ordered_at": "2026-10-25 02:30:00"} for row in texts]
    columns = {"ordered_at": meta, "updated_at": meta}
    one, other = both(asked, tmp_path, "orders", rows(texts), columns=columns)
    assert_equal(one, other, texts)
    assert {row["ordered_at"] is None for row in one} == {True, False}


# Clocks are set back by half an hour, an hour and two, and by seconds where they began to follow a zone.
@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "Australia/Lord_Howe", "Antarctica/Troll", "America/St_Johns", "Africa/Casablanca"]
)
def test_a_time_that_a_clock_shows_twice_or_never_is_the_same(asked: Asked, tmp_path: Path, zone: str) -> None:
    days = [
        "1893-04-01",
        "1921-05-01",
        "1945-05-24",
        "1947-06-29",
        "2026-03-29",
        "2026-04-05",
        "2026-10-04",
        "2026-10-25",
        "2026-11-01",
        "2026-03-08",
        "2026-02-15",
    ]
    texts: list[dict[str, str | None]] = [
        {
            "order_id": f"{day} {hour}:{minute}",
            "status": "paid",
            "currency": "EUR",
            "ordered_at": f"{day} {hour:02}:{minute:02}:07",
        }
        for day, hour, minute in product(days, (0, 1, 2, 3, 23), (0, 15, 30, 45, 59))
    ]
    one, other = both(asked, tmp_path, "orders", rows(texts), columns={"ordered_at": {"timezone": zone}})
    assert_equal(one, other, texts)
    assert all(row["ordered_at"] for row in one)


PARTS_OF_TEXTS: list[dict[str, Any]] = [
    {r"\1": [r"/(\d+)[.]0/", "/0*(.+)/"]},
    {r"\1": "/(.*?) */"},
    {r"\1": ["/#(.*)/", "/gid:..shopify.Order.(.*)/"]},
    {"none": "1", r"\2 \1": "/(.*), (.*)/", "other": "/x.*/"},
    {r"\1": "/a|(b)|c/"},
    {r"$1\10\0$\\": "/(a+)(b*).*/"},
    {r"\2\1": "/(a|ab)(b|c|bcd)*/"},
    {r"\1|\2": "/(a*?)(a*)/"},
    {r"it's \1": "/(?s)(.)*/"},
    {r"\1,\2": "/(?i)(?:(k)|([a-z]))+(?:-\\d)?/"},
    {r"\1,\2": "/(a$|b)(\\s*)|(?:a\\B.*)/"},
    {r"<\1>": "/([\\v\\s]+|[^\\s]+\\b)/"},
]
TEXTS_IN_PARTS = """
17850.0 17850.5 x17850.0 0000012345 000 0 #a ## gid://shopify/Order/7 EUR a b ab abab ba c Doe,Ann é 1 $5 a\\b a$1b aaa x A-1 a-1 K \u017f \u212a it's
"""
BLANKS_IN_TEXTS = "| |  EUR  |Doe, Ann|a\nb|a\n|a\n\n|b\n|\n|\u2028|a\rb|\x0b|x\x0by|Äé 1|aé|😀x"
TEXTS = TEXTS_IN_PARTS.split() + BLANKS_IN_TEXTS.split("|")


@pytest.mark.parametrize("values", PARTS_OF_TEXTS, ids=str)
def test_a_value_made_of_parts_of_a_text_is_the_same(asked: Asked, tmp_path: Path, values: dict[str, Any]) -> None:
    texts: list[dict[str, str | None]] = [
        {"order_id": str(number), "status": "paid", "currency": "EUR", "ordered_at": "2026-10-25", "customer_id": text}
        for number, text in enumerate(TEXTS)
    ]
    columns = {"customer_id": {"values": values}, "ordered_at": {"time_format": "%Y-%m-%d"}}
    one, other = both(asked, tmp_path, "orders", rows(texts), columns=columns)
    assert_equal(one, other, texts)
    assert any(row["customer_id"] != text for row, text in zip(one, TEXTS, strict=True))


CELLS = [None, "", "a", 'q"\\/', "\x01\x1f\x7f", "é😀\u2028", "[1]", "a", "\t\n\r\b\f"]


@pytest.mark.parametrize("name", ["line_number", "order_id"])
def test_a_rows_id_is_the_same_whatever_is_in_it(asked: Asked, tmp_path: Path, name: str) -> None:
    texts: list[dict[str, str | None]] = [
        {"order_id": one, "line_number": "1", "product_id": other, "quantity": "1", "unit_price": "1,5"}
        for one, other in product(CELLS, CELLS)
    ]
    columns = {name: {"row_id": True}, "unit_price": {"decimal": ","}}
    one, other = both(asked, tmp_path, "order_items", rows(texts), columns=columns)
    assert_equal(one, other, texts)
    assert len({row[name] for row in one}) == len(texts)


JSON_TEXTS = [
    *(value for value in VALUES),
    *('{"a":1}', " [1, {}]\n", '{"a":1,"a":2}', "{}", "[]", "1 2", "1, 2", "1],[2", "1]", "[1]]", "[1],[", '{"a":1}],[{"b":2}', '"a" "b"', "a", "tru", "True"),
    *("[1,]", '{"a":1,}', "[,1]", "[1,,2]", "NaN", "[nan]", '{"a": -Infinity}', "inf", '",] NaN"', '{"a":"[1,]"}', "01", "-", "+1", ".5", "5.", "1e", "1e400"),
    *("-0", "1E5", "0x1", "1_0", "{a:1}", "{'a':1}", "// x", "/* x */ 1", "\ufeff1", "\u00a01", "\x0c1", "\t\r\n 1", '"\x01"', '"\x7f"', '"\t"', '"\\x"', "\x00"),
    *('"\\ud800"', '"\\udc00"', '"\\ud83d\\ude00"', '"\\ud83d\\ude00\\ud83d"', '"\\\\ud800"', '"\\\\\\ud800"', '"\\ude00\\ud83d"', '"\\uD83D\\uDe00\\ud83d\\ude00"'),
    *('"\\u12"', '"é😀\u2028"', "[" * 500 + "]" * 500, '{"a":{"b":[{"c":null}]}}', " ", "", None, "null", "true", "1" * 900),
]  # fmt: skip


def test_json_in_rows_is_the_same(asked: Asked, tmp_path: Path) -> None:
    texts: list[dict[str, str | None]] = [
        {"order_id": str(number), "line_number": "1", "product_id": text} for number, text in enumerate(JSON_TEXTS)
    ]
    one, other = both(asked, tmp_path, "order_items", rows(texts), columns={"product_id": {"data_type": "json"}})
    assert_equal(one, other, texts)
    read = [row["product_id"] for row in one if row["product_id"] is not None]
    assert len(read) > 30 and all(text in JSON_TEXTS for text in read), "the text itself"
    for text in JSON_TEXTS:
        assert (text in read) == is_json(text), text


def is_json(text: str | None) -> bool:
    """Say whether Python takes a text for JSON, without what it takes beside that."""

    def none(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.dumps(
            json.loads(text or "", parse_constant=none, parse_int=str, parse_float=str), ensure_ascii=False
        ).encode()
    except (ValueError, RecursionError):  # also of half of a surrogate pair
        return False
    return True


def test_a_line_with_more_than_one_object_is_the_same(asked: Asked, tmp_path: Path) -> None:
    whole = event()
    texts = [
        whole,
        f"{whole}],[1",
        f"{whole}],[{whole}",
        f"{whole},{whole}",
        f"{whole}]",
        f"[{whole}]",
        f"{whole} {whole}",
        f"{whole},1],[1",
    ]
    given = [f"{text}\n".encode() for text in texts]
    one, other = both(asked, tmp_path, "clickstream", lines(given))
    assert_equal(one, other, given)
    assert [row["reasons"] for row in one][1:5] == [["broken_json"]] * 4


def test_a_line_with_half_of_a_surrogate_pair_is_the_same(asked: Asked, tmp_path: Path) -> None:
    values = [text for text in JSON_TEXTS if text and "\\ud" in text.lower()]
    given = [(line + "\n").encode() for value in values for line in (event(url=value), event(other=value), value)]
    one, other = both(asked, tmp_path, "clickstream", lines(given))
    assert_equal(one, other, given)
    assert {None, "broken_json"} <= {(row["reasons"] or [None])[0] for row in one}


def event(**parts: str) -> str:
    said = {
        "event_id": '"e"',
        "event_type": '"click"',
        "event_time": '"2026-11-01T10:00:00Z"',
        "visitor_id": '"v"',
    } | parts
    return "{" + ",".join(f'"{name}":{value}' for name, value in said.items()) + "}"


def test_a_lines_id_is_the_same_whatever_is_in_it(asked: Asked, tmp_path: Path) -> None:
    texts = [(event(other=value) + end).encode() for value in VALUES for end in ("\n", "\n", "\r\n")]
    texts += [
        b'\xef\xbb\xbf{"event_type":"click"}\n',
        b"no json\n",
        b'{"event_id":"\xff"}\n',
        b'{"event_id":"\xfe"}\n',
        b"x",
        event().encode(),
    ]
    one, other = both(asked, tmp_path, "clickstream", lines(texts), columns={"event_id": {"row_id": True}})
    assert_equal(one, other, texts)
    assert len({row["event_id"] for row in one}) == len(texts)


SEARCHED: dict[str, dict[str, Any]] = {
    "event_id": {"row_id": True},
    "visitor_id": {"from": ["$.params[key=u].value.id", "visitor_id"], "json_types": ANYTHING},
    "url": {"from": ["$.params[key=u].value", "$.params[key=7].value"], "json_types": ANYTHING},
    "unit_price": {"from": ["$.params[key=p].value.id", "$.params[key=p].value"]},
    "quantity": {"from": "$.params[key=n].value", "json_types": ["string", "integer"]},
    "campaign": {"from": "$.a.list[type=true]", "json_types": "object"},
    "search_query": {"join": ["$.a.list[type=false].b[0].id", "$.params[key=u].other['x.y']"], "json_types": ANYTHING},
}


def test_what_is_found_in_a_list_is_the_same(asked: Asked, tmp_path: Path) -> None:
    texts = []
    for value in VALUES:
        for name in ("u", "p", "n", "o"):
            texts.append(
                event(
                    params=f'[1,null,"x",{{"key":"{name}","other":{{"x.y":{value}}},"value":{value}}},{{"key":"{name}","value":"second"}}]'
                )
            )
        texts.append(event(params=value, a=value))
        texts.append(event(params=f"[{value}]", a=f'{{"list":[{value},{{"type":true,"b":{value}}}]}}'))
        texts.append(event(params=f'[{{"key":{value},"value":"v"}},{{"key":"u","key":"p","value":{value},"value":1}}]'))
        texts.append(
            event(
                params=f'[{{"key":null,"key":"u","value":1}},{{"k\\u0065y":"p","value":{{"x":"\\\\","id":{value}}}}}]',
                a=f'{{"list":{value}}}',
            )
        )
        texts.append(
            event(
                a=f'{{"list":[{{"type":false,"b":[{{"id":{value}}}]}}],"list":[]}}',
                params='["{\\"key\\":\\"u\\",\\"value\\":1}"]',
            )
        )
    given = [f"{text}\n".encode() for text in texts]
    where = [
        {"from": ["$.params[key=o].value", "$.params[key=p].value.id"], "is_not": ["5", "1.5e22", "/te.*/", "[1]"]}
    ]
    one, other = both(asked, tmp_path, "clickstream", lines(given), columns=SEARCHED, where=where)
    assert_equal(one, other, given)
    assert {"not_selected", "not_parsed:unit_price", "wrong_type:quantity"} <= {
        reason for row in one for reason in row["reasons"] or []
    }
    assert all(any(row[name] for row in one) for name in SEARCHED)


def test_a_long_number_behind_an_escape_is_the_same(asked: Asked, tmp_path: Path) -> None:
    """A value is read step by step where a key may be there twice, from text in which Java may have rounded numbers."""
    numbers = ["0.1000000000000000055", "1.50", "1234567890123456e-5", "0.1000000000000001"]
    texts = [
        (event(data=f'{{"x":"{x}","price":{one}}}') + "\n").encode()
        for one in numbers
        for x in ("\\\\", '","price":2,"y":"')
    ]
    one, other = both(asked, tmp_path, "clickstream", lines(texts), columns={"unit_price": {"from": "$.data.price"}})
    assert_equal(one, other, texts)
    assert {None, "too_many_digits:unit_price"} <= {(row["reasons"] or [None])[0] for row in one}
