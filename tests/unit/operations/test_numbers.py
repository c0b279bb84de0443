"""Numbers by a contract's signs. That the macros read them alike is in test_readings.py."""

import pytest

from operations.numbers import listed, number


@pytest.mark.parametrize(
    ("text", "options", "found"),
    [
        ("$1,234.50", {"symbol": "$", "thousands": ","}, "1234.50"),
        ("($5)", {"symbol": "$"}, "-5"),
        ("12.5%", {"percent": True}, "0.125"),
        ("1.234,56-", {"decimal": ",", "thousands": "."}, "-1234.56"),
        ("0.125", {"percent": True}, None),
        ("€5", {"symbol": "$"}, None),
        ("(5)", {}, None),
    ],
)
def test_a_number_is_read_by_its_signs(text: str, options: dict[str, object], found: str | None) -> None:
    assert number(text, options) == found


def test_one_text_is_a_list_of_one() -> None:
    assert (listed("a"), listed(["a", "b"]), listed(None)) == (["a"], ["a", "b"], [])
