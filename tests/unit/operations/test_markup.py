import base64
import hashlib
import re
from decimal import Decimal
from pathlib import Path

from operations import markup
from operations.markup import Bar, Code, Tile


def test_data_is_no_markup_wherever_it_is_written() -> None:
    evil = "<script>alert('1')</script>\u202e\x1b"
    row = {"dataset": evil, "bronze": 1, "difference": 0} | dict.fromkeys(markup.FATES, 0)
    parts = [
        markup.section(evil, evil, "", evil, evil),
        markup.tiles([Tile(evil, evil, evil, link=evil)]),
        markup.bars([Bar(evil, 1, evil, evil, evil)], evil),
        markup.table((evil, "n"), [(evil, Code(evil))], caption=evil),
        markup.fates([row], evil),
        markup.document(evil, ""),
    ]
    for part in parts:
        assert "<script" not in part and "alert('" not in part and "\u202e" not in part and "\x1b" not in part
        assert "&lt;script&gt;" in part


def test_only_the_scripts_of_a_page_run_and_nothing_is_loaded() -> None:
    text = markup.document("t", "<p>b</p>", style="p { }", scripts=["one()", "two()"])
    policy = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)[0]
    for script in ("one()", "two()"):
        assert f"<script>{script}</script>" in text
        assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert "default-src 'none'" in policy and "script-src 'none'" in markup.document("t", "")


def test_only_a_page_with_forms_may_send_them_and_to_its_own_server_alone() -> None:
    assert "form-action 'none'" in markup.document("Title", "")
    assert "form-action 'self'" in markup.document("Title", "", has_forms=True)


def test_links_in_a_table_are_escaped() -> None:
    cell = markup.Links((('?a="b"&c', "<Accept>"), ("./", "Open")))
    text = markup.table(("Name", "Links"), [("x", cell)], numbers=())
    assert '<td class="short"><a href="?a=&quot;b&quot;&amp;c">&lt;Accept&gt;</a> <a href="./">Open</a></td>' in text


def test_a_bar_that_is_not_whole_is_hatched_and_says_so_and_nothing_known_has_no_bar() -> None:
    text = markup.bars(
        [
            Bar("a", 10, "10"),
            Bar("b", 5, "5", mark="incomplete"),
            Bar("c", None, "-", mark="not here yet"),
            Bar("d", 0, "0"),
        ]
    )
    rows = re.findall(r"<tr>.*?</tr>", text)
    assert 'class="above" style="width:100.00%"' in rows[0] and "mark" not in rows[0]
    assert 'class="above part" style="width:50.00%"' in rows[1] and ">incomplete</small>" in rows[1]
    assert "<i" not in rows[2] and ">not here yet</small>" in rows[2]
    assert 'style="width:0.00%"' in rows[3]


def test_a_table_has_headers_a_caption_and_can_be_reached_with_the_keyboard() -> None:
    text = markup.table(("Name", "Count"), [("a", "1"), ("b", "2")], caption="Things")
    assert text.count('<th scope="col"') == 2 and text.count('<th scope="row"') == 2
    assert (
        '<caption class="unseen">Things</caption>' in text and 'tabindex="0" role="region" aria-label="Things"' in text
    )
    assert text.count('<td class="number">') == 2
    assert markup.table(("Name",), []) == markup.NOTHING


def test_amounts_have_signs_units_and_separators() -> None:
    assert [markup.dollars(one) for one in (Decimal("1234.5"), -250.0, None)] == ["$1,234", "-$250", "unknown"]
    assert [markup.money(Decimal("1234.5"), one) for one in ("JPY", "EUR")] == ["1,234", "1,234.50"]


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    markup.write(path, "one")
    markup.write(path, "two")
    assert path.read_text() == "two" and list(tmp_path.iterdir()) == [path]
