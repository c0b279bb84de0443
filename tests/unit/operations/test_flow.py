import re
import xml.etree.ElementTree as ElementTree

from operations import flow
from operations.flow import Dataset, Table
from operations.markup import FATES

DATASETS = [
    Dataset("orders", "shop", {"current": 90, "dead_letter": 10}, 100),
    Dataset("clicks", "web", {"current": 999_999, "duplicate": 1}, 1_000_000, held=7),
    Dataset("<b>nothing</b>", "web", dict.fromkeys(FATES, 0), 0),
]
GOLD = [
    Table("revenue", 1, ("orders",)),
    Table("a_table_with_a_very_long_name", 5, ("clicks", "unknown")),
    Table("alone", 3),
]


def drawn() -> ElementTree.Element:
    return ElementTree.fromstring(flow.draw(DATASETS, GOLD))


def test_everything_is_named_with_its_counts_also_in_words() -> None:
    texts = [one.text for one in drawn().iter("text")]
    assert {
        "shop",
        "web",
        "orders",
        "clicks",
        "100 records",
        "1,000,000 records",
        "10 refused",
        "7 held",
        "1 row",
        "alone",
    } <= set(texts)
    said = next(drawn().iter("desc")).text or ""
    assert "orders, from shop: 100 records, 90 current, 10 dead letter." in said and "1 duplicate, 7 held." in said


def test_each_part_of_a_bar_has_its_share_and_what_is_there_is_seen() -> None:
    bars = [one for one in drawn().iter("rect") if "fate" in (one.get("class") or "")]
    widths = {one.find("title").text: float(one.get("width") or 0) for one in bars}  # type: ignore[union-attr]
    assert abs(widths["90 current"] / widths["10 dead letter"] - 9) < 0.01
    assert widths["1 duplicate"] > 1.5 and widths["999,999 current"] > 100
    assert len(widths) == 4


def test_boxes_lie_within_the_picture_and_lines_end_at_them() -> None:
    picture = drawn()
    left, top, width, height = (float(one) for one in (picture.get("viewBox") or "").split())
    boxes = [one for one in picture.iter("rect") if "fate" not in (one.get("class") or "")]
    assert len(boxes) == 2 + 3 + 3
    for box in boxes:
        x, y, w, h = (float(box.get(name) or 0) for name in ("x", "y", "width", "height"))
        assert left < x and x + w < left + width and top < y and y + h <= top + height
    # three from sources, and one for each dataset of a table that is there
    lines = [one.get("d") or "" for one in picture.iter("path")]
    assert len(lines) == 5
    ends = {re.split(r"[ C]", line)[-2] for line in lines}
    assert ends <= {f"{float(box.get('x') or 0):.1f}" for box in boxes}


def test_tables_lie_beside_their_datasets_and_those_without_any_last() -> None:
    texts = [one.text for one in drawn().iter("text")]
    assert texts.index("revenue") < texts.index("a_table_with_a_v…") < texts.index("alone")


def test_without_records_there_is_no_picture() -> None:
    assert flow.draw([], GOLD) == ""
