"""The summary of a trace says what happened to a record, in one line per dataset."""

import pytest

from operations.trace import summary

ORDER = {"record": "a:1", "dataset": "orders", "fate": "current", "gold": ["gold.customers where customer_id = 'c'"]}
REFUSED = {"record": "b:1", "dataset": "order_items", "fate": "dead_letter", "reasons": ["missing:unit_price"]}
DISCARDED = {"action": "withdraw", "decided_by": "ann", "reason": "a test"}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([ORDER], ["orders: 1 current; in gold.customers"]),
        ([ORDER | {"gold": []}], ["orders: 1 current; in no row of gold that is made of records"]),
        (
            [{**ORDER, "fate": "duplicate"}, ORDER, {**ORDER, "fate": "duplicate"}],
            ["orders: 1 current, 2 duplicate; in gold.customers"],
        ),
        (
            [REFUSED, REFUSED, ORDER],
            [
                "order_items: 2 refused; refused for missing:unit_price, and that is open",
                "orders: 1 current; in gold.customers",
            ],
        ),
        (
            [REFUSED | {"letter": "replaced by c:2"}],
            ["order_items: 1 refused; refused for missing:unit_price, and that is replaced by c:2"],
        ),
        (
            [REFUSED | {"fate": "withdrawn", "decision": DISCARDED}],
            ["order_items: 1 withdrawn; withdraw by ann: a test"],
        ),
        ([REFUSED | {"fate": "withdrawn", "decision": {"record": "d:1"}}], ["order_items: 1 withdrawn"]),
    ],
)
def test_a_line_per_dataset_says_what_became_of_its_records(told: list[dict], said: list[str]) -> None:
    assert summary(told) == said
