from datetime import date
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

from operations import page

FOUND: dict[str, list[dict[str, Any]]] = {
    "extent": [{"first_date": date(2026, 11, 1), "last_date": date(2026, 11, 2), "build_id": "b1"}],
    "totals": [{"orders": 3, "net_usd": Decimal("1234.5")}],
    "revenue": [
        {"order_date": date(2026, 11, 1), "net_usd": Decimal("1000"), "orders": 2},
        {"order_date": date(2026, 11, 2), "net_usd": Decimal("-250"), "orders": 1},
        {"order_date": date(2026, 11, 3), "net_usd": None, "orders": 1},
    ],
    "currencies": [{"currency": "JPY", "orders": 1, "net_amount": Decimal("178000.0000"), "net_usd": Decimal("1000")}],
    "funnel": [dict.fromkeys(("sessions", "view_sessions", "cart_sessions", "checkout_sessions", "purchase_sessions"))],
    "fates": [
        {
            "dataset": "orders",
            "bronze": 1000,
            "current": 990,
            "superseded": 4,
            "duplicate": 3,
            "dead_letter": 2,
            "withdrawn": 1,
            "difference": 0,
        }
    ],
    "refused": [],
    "campaigns": [{"campaign": "<script>alert(1)</script>", "orders": 1, "net_usd": Decimal("5")}],
    "unheard": [{"term": "a\x1b\u202eb & c", "searches": 7, "clicked": 0}],
    "risk": [],
}


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_values_are_no_markup() -> None:
    text = page.render(FOUND)
    tags = Tags()
    tags.feed(text)
    assert not tags.open and "script" not in tags.seen
    assert "&lt;script&gt;" in text and "a\\x1b\\u202eb &amp; c" in text


def test_amounts_have_signs_units_and_separators() -> None:
    text = page.render(FOUND)
    for written in ("$1,000", "-$250", "unknown", "178,000<", "2026-11-01", "990", "0.20 % of them"):
        assert written in text, written
    assert text.count('class="nothing"') == 2


def test_a_bar_below_nothing_is_another_color() -> None:
    assert '<i class="below" style="width:25.00%">' in page.render(FOUND)
