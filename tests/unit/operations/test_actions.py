from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlsplit

import pytest

from ingestion.errors import Permanent
from operations import actions, control_room, control_room_facts
from operations.actions import Desk, Run
from operations.control_room_facts import Room
from operations.decide import Asked
from tests.unit.operations.planted import LAST_BUILD, MARKUP, NOW, plant

FINDINGS = ("anomaly:gold.daily_funnel:purchases:day:2026-11-25", "held:held-batch")
ANNA = Desk("anna", may_decide=True, may_rebuild=True, findings=FINDINGS)


class Forms(HTMLParser):
    """The forms of a page: their fields, and the labels."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[tuple[dict[str, str | None], list[dict[str, str | None]]]] = []
        self.labels: list[str | None] = []
        self.links: list[str] = []
        self.options: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form":
            self.forms.append((found, []))
        elif tag in ("input", "select", "textarea"):
            self.forms[-1][1].append(found)
        elif tag == "label":
            self.labels.append(found["for"])
        elif tag == "a":
            self.links.append(found["href"] or "")
        elif tag == "option":
            self.options.append(found["value"])


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return control_room_facts.read(plant(tmp_path_factory.mktemp("planted")), NOW)


def test_a_form_says_what_is_asked_for_and_why() -> None:
    form = {"action": "retract", "about": " b1 ", "reason": " twice\n"}
    assert actions.decision(form) == (Asked("retract", "b1"), "twice")
    form = {"action": "discard", "about": "orders invalid:currency of two words", "reason": "test"}
    assert actions.decision(form) == (Asked("discard", "invalid:currency of two words", "orders"), "test")
    assert actions.rebuild({"from": "2026-11-01", "to": "2026-11-03", "reason": "why"}) == {
        "from": "2026-11-01",
        "to": "2026-11-03",
        "full": False,
        "reason": "why",
    }


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"from": "2026-11-03", "to": "2026-11-03", "reason": "why"}, "the range is empty"),
        ({"from": "2026-11-31", "to": "2026-12-03", "reason": "why"}, "`from` is not a date"),
        ({"from": "2026-11-01", "reason": "why"}, "`to` is not a date"),
        ({"from": "2026-11-01", "to": "2026-11-03"}, "a reason is missing"),
        ({"from": "2026-11-01", "to": "2026-11-03", "reason": "x" * 1001}, "longer than 1,000 characters"),
    ],
)
def test_a_range_needs_two_dates_and_a_reason(form: dict[str, str], said: str) -> None:
    with pytest.raises(Permanent, match=said) as caught:
        actions.rebuild(form)
    assert caught.value.todo


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"action": "discard", "about": "orders", "reason": "why"}, "must say what it is about"),
        ({"action": "retract", "about": "x" * 501, "reason": "why"}, "longer than 500 characters"),
        ({"action": "build", "about": "x", "reason": "why"}, "there is no action build"),
    ],
)
def test_a_decision_is_one_of_four_about_something(form: dict[str, str], said: str) -> None:
    with pytest.raises(Permanent, match=said):
        actions.decision(form)


def test_every_field_has_a_label_and_every_form_asks_for_a_reason(room: Room) -> None:
    page = Forms(control_room.render(room, ANNA))
    assert [form["action"] for form, _ in page.forms] == ["decide"] * 4 + ["build_warehouse"]
    for form, fields in page.forms:
        assert form["method"] == "post"
        typed = [field for field in fields if field.get("type") != "hidden"]
        assert typed[-1]["name"] == "reason"
        assert all("required" in field for field in typed)
        assert all(field["id"] in page.labels for field in typed)
    ids = [field["id"] for _, fields in page.forms for field in fields if "id" in field]
    assert len(ids) == len(set(ids))


def test_what_can_be_chosen_is_what_is_open(room: Room) -> None:
    page = Forms(control_room.render(room, ANNA))
    assert page.options[: 1 + len(FINDINGS)] == ["", *FINDINGS]
    assert page.options[1 + len(FINDINGS) :] == [
        "",
        "clickstream broken_json",
        f"clickstream bad {MARKUP}",
        "clickstream missing:visitor_id",
    ]
    # nothing is open, or it could not be read: then it is typed
    assert Forms(actions.section(replace(ANNA, findings=()), replace(room, refused=[]))).options == []
    typed = Forms(actions.section(replace(ANNA, findings=None), room))
    assert [field["name"] for field in typed.forms[0][1]] == ["action", "about", "reason"]


def test_links_beside_a_row_lead_to_the_form_with_what_it_is_about(room: Room) -> None:
    page = Forms(control_room.render(room, ANNA))
    asked = [dict(parse_qsl(urlsplit(link).query)) for link in page.links if link.startswith("?")]
    assert {"action": "accept", "about": "held:held-batch"} in asked
    assert {"action": "retract", "about": "belongs-to-it"} in asked
    assert {"action": "discard", "about": f"clickstream bad {MARKUP}"} in asked
    assert {"action": "accept", "about": "anomaly:gold.daily_funnel:purchases:day:2026-11-26"} in asked
    for link in (link for link in page.links if link.startswith("?")):
        assert f'id="{urlsplit(link).fragment}"' in control_room.render(room, ANNA)
    # an accepted one cannot be accepted again
    assert len([one for one in asked if one["about"].startswith("anomaly:")]) == 7
    chosen = control_room.render(room, replace(ANNA, typed=asked[0]))
    assert chosen.count("<details id=") == 5 and chosen.count(" open><summary>Accept") == 1


def test_without_the_right_there_is_no_form_and_the_page_says_so(room: Room) -> None:
    text = control_room.render(room, Desk("vera"))
    assert Forms(text).forms == [] and not [link for link in Forms(text).links if link.startswith("?")]
    assert "You are vera, and may look but not act" in text
    only = Forms(control_room.render(room, replace(ANNA, may_decide=False)))
    assert [form["action"] for form, _ in only.forms] == ["build_warehouse"]
    # the file that a build writes
    written = control_room.render(room)
    assert Forms(written).forms == [] and "Actions" not in written and "form-action 'none'" in written


def test_what_was_asked_is_told_and_what_is_typed_is_no_markup(room: Room) -> None:
    run = Run("run-1", f"retract {MARKUP}", f"{MARKUP}bob", f"{MARKUP}why", NOW, "queued", "../dags/decide/runs/run-1")
    desk = replace(ANNA, user=f"{MARKUP}anna", runs=[run], started="run-1", error=f"{MARKUP}wrong")
    for shown in (desk, replace(desk, error="")):
        for action in ("accept", "retract", "discard", "resubmit", "rebuild"):
            typed = dict.fromkeys(("about", "reason", "from", "to"), f'"{MARKUP}') | {"action": action}
            text = control_room.render(room, replace(shown, typed=typed))
            assert MARKUP not in text and LAST_BUILD in text
    assert "Nothing was started: " in control_room.render(room, desk)
    assert "Started: retract" in control_room.render(room, replace(desk, error=""))
    # an unknown run is not told
    assert "Started" not in control_room.render(room, replace(desk, error="", started=MARKUP))


def test_an_empty_room_has_no_form_to_choose_from_nothing(room: Room) -> None:
    empty = replace(room, tables={name: [] for name in room.tables}, refused=[])
    page = Forms(actions.section(replace(ANNA, findings=()), empty))
    assert [form["action"] for form, _ in page.forms] == ["decide", "decide", "build_warehouse"]
