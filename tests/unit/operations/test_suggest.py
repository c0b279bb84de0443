"""What is suggested for each reason a contract can give."""

import pytest

from ingestion.contract import read_contracts
from operations.suggest import suggest

CLICKS, LINES = (read_contracts()[name] for name in ("clickstream", "order_items"))


@pytest.mark.parametrize(
    ("contract", "reason", "shape", "listed", "of", "said"),
    [
        (CLICKS, "missing:visitor_id", None, None, "contract", "make visitor_id optional"),
        (CLICKS, "missing:event_id", None, None, "records", "add event_id"),
        (CLICKS, "missing:event_time", None, None, "records", "add event_time"),
        (LINES, "missing:unit_price", None, None, "records", "add unit_price"),
        (CLICKS, "not_allowed:event_type", "aaaaa", "hover", "contract", "allow event_type to be 'hover'"),
        (LINES, "not_parsed:unit_price", "99,99", None, "records", "decimal point"),
        (CLICKS, "not_parsed:event_time", "99/99/9999 99:99", None, "records", "ISO 8601"),
        (CLICKS, "not_parsed:quantity", "aaa", None, "records", "in the contract's type"),
        (CLICKS, "broken_json", None, None, "records", "one JSON object"),
        (CLICKS, "wrong_type:unit_price", "9.9", None, "records", "unit_price: write it in the contract's type"),
    ],
)
def test_a_reason_has_a_smallest_change(contract, reason, shape, listed, of, said) -> None:
    found = suggest(contract, reason, shape, listed)
    assert found.of == of and said in found.change
