"""The forms of the control room: what a person can ask for, and what is read from a form that is sent.

A form asks for a run of a DAG, with the reason. Nothing is decided here: the run does that, as the user who asked for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

from ingestion.errors import Permanent
from operations import decide, markup
from operations.control_room_facts import Room
from operations.markup import Links, code, safe

DECIDE, REBUILD = "decide", "build_warehouse"
MOST_REASON = 1000
_MOST_NAME = 500
# What a link or a form names a form by: of the decisions, and of the rebuild.
_TITLES = {
    "accept": "Accept a finding or a held batch",
    "retract": "Retract a batch",
    "discard": "Discard dead letters",
    "resubmit": "Resubmit corrected records",
    "rebuild": "Rebuild a range of dates",
}
_SAYS = {
    "accept": "A held batch enters with the next build, what is refused of it included. An alert about a difference or an unusual number is no "
    "longer told.",
    "retract": "Its records are withdrawn, and records that lost to them count again.",
    "discard": "All open dead letters with the reason are withdrawn; they stay in bronze.",
    "resubmit": "Corrected records land as a batch of their own, and compete in place of those that were refused.",
    "rebuild": "The dates are built again from bronze, by the contracts and models of today.",
}
_UNDO = {
    "retract": "clearwell batches restore BATCH",
    "discard": "clearwell dead-letters restore RECORD",
    "resubmit": "clearwell batches retract BATCH --reason TEXT",
}


@dataclass(frozen=True)
class Run:
    """A run of Airflow that a person has asked for: what, by whom, why, and how it stands. `address` leads to it."""

    run_id: str
    what: str
    asked_by: str
    reason: str
    at: datetime
    state: str
    address: str


@dataclass(frozen=True)
class Desk:
    """What the person who looks may do, what they and others have asked for, and what they have typed if it was refused.

    `findings` are those that can be accepted; None if they could not be read just now.
    """

    user: str
    may_decide: bool = False
    may_rebuild: bool = False
    findings: Sequence[str] | None = None
    runs: Sequence[Run] = ()
    started: str = ""
    error: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)


def decision(form: Mapping[str, str]) -> tuple[decide.Asked, str]:
    """Read the form of a decision: what is asked for, and why. An uploaded file is named already."""
    about, dataset = _text(form, "about", _MOST_NAME), ""
    if form.get("action") == "discard":
        dataset, _, about = about.partition(" ")
    return decide.Asked(_text(form, "action", _MOST_NAME), about, dataset), _reason(form)


def rebuild(form: Mapping[str, str]) -> dict[str, Any]:
    """Read the form of a rebuild, as the parameters of the DAG."""
    dates = {}
    for name in ("from", "to"):
        try:
            dates[name] = date.fromisoformat(form.get(name, ""))
        except ValueError:
            raise Permanent(f"`{name}` is not a date", todo="write it as YYYY-MM-DD") from None
    if dates["from"] >= dates["to"]:
        raise Permanent("the range is empty: its end is not part of it", todo="give an end after the first date")
    return {**{name: str(day) for name, day in dates.items()}, "full": False, "reason": _reason(form)}


def _text(form: Mapping[str, str], name: str, most: int) -> str:
    text = form.get(name, "").strip()
    if len(text) > most:
        raise Permanent(f"`{name}` is longer than {most:,} characters", todo="write it shorter")
    if any(ord(one) < ord(" ") and one not in "\t\n\r" for one in text):
        # Airflow's database takes no zero character
        raise Permanent(f"`{name}` has a character that cannot be seen", todo="type it instead of pasting it")
    return text


def _reason(form: Mapping[str, str]) -> str:
    reason = _text(form, "reason", MOST_REASON)
    if not reason:
        raise Permanent("a reason is missing: it is kept with what you ask for", todo="write why")
    return reason


def link(action: str, about: str, dataset: str = "") -> tuple[str, str]:
    """Return the address of a form that is filled in with what it is about, and the words of the link."""
    asked = {"action": action, "about": f"{dataset} {about}" if dataset else about}
    return f"?{urlencode(asked)}#{_anchor(action)}", action.capitalize()


def _anchor(action: str) -> str:
    return f"ask-{action}"


def section(desk: Desk, room: Room) -> str:
    """Return the forms that a person may send, and what was asked for lately."""
    allowed = [
        *(["accept", "retract", "discard", "resubmit"] if desk.may_decide else []),
        *(["rebuild"] if desk.may_rebuild else []),
    ]
    forms = "".join(_form(action, desk, room) for action in allowed)
    says = (
        f"You are {desk.user}. What you ask for runs in Airflow, and is kept with your name and your reason."
        if allowed
        else f"You are {desk.user}, and may look but not act: your role may not trigger the DAGs {DECIDE} and {REBUILD}."
    )
    return markup.section("Actions", says, f"{_answer(desk)}{forms}{_runs(desk)}", anchor="actions")


def _answer(desk: Desk) -> str:
    if desk.error:
        return f'<p class="banner" role="alert">Nothing was started: {safe(desk.error)}</p>'
    started = next((run for run in desk.runs if run.run_id == desk.started), None) if desk.started else None
    if started is None:
        return ""
    return (
        f'<p class="banner ok" role="status">Started: {safe(started.what)}, because of “{safe(started.reason)}”, asked by '
        f'{safe(started.asked_by)}. The run is {safe(started.state)}. <a href="./#actions">Look again</a></p>'
    )


def _form(action: str, desk: Desk, room: Room) -> str:
    is_chosen = desk.typed.get("action") == action
    typed = desk.typed if is_chosen else {}
    fields = {"discard": _discard, "accept": _accept, "resubmit": _resubmit, "retract": _retract, "rebuild": _rebuild}
    inputs = fields[action](typed, desk, room)
    head = f'<details id="{_anchor(action)}"{" open" if is_chosen else ""}><summary>{_TITLES[action]}</summary><p>{_SAYS[action]}'
    undo = f" To undo it: {code(_UNDO[action])}." if action in _UNDO else ""
    if not inputs:
        return f"{head}</p>{markup.NOTHING}</details>"
    upload = ' enctype="multipart/form-data"' if action == "resubmit" else ""
    to = REBUILD if action == "rebuild" else DECIDE
    return (
        f'{head}{undo}</p><form method="post" action="{to}"{upload}><input type="hidden" name="action" value="{action}">{inputs}'
        f"{_why(action, typed)}<button>{_TITLES[action]}</button></form></details>"
    )


def _retract(typed: Mapping[str, str], desk: Desk, room: Room) -> str:
    return _input("retract", "about", "Batch", typed, 'autocomplete="off" spellcheck="false"')


def _rebuild(typed: Mapping[str, str], desk: Desk, room: Room) -> str:
    first = _input("rebuild", "from", "First date", typed, 'type="date"')
    return first + _input("rebuild", "to", "End of the range, not included", typed, 'type="date"')


def _accept(typed: Mapping[str, str], desk: Desk, room: Room) -> str:
    if desk.findings is None:
        return _input("accept", "about", "Finding", typed, 'autocomplete="off" spellcheck="false"')
    return _select("accept", "Finding", [(one, one) for one in desk.findings], typed)


def _discard(typed: Mapping[str, str], desk: Desk, room: Room) -> str:
    return _select(
        "discard",
        "Dead letters",
        [
            (f"{row['dataset']} {row['reason']}", f"{row['dataset']}: {row['reason']} ({row['records']:,} records)")
            for row in room.refused or ()
        ],
        typed,
    )


def _resubmit(typed: Mapping[str, str], desk: Desk, room: Room) -> str:
    return (
        f'<label for="resubmit-file">File of corrected records: what {code("clearwell dead-letters show --json")} prints, with '
        f'{code("raw")} corrected</label><input id="resubmit-file" type="file" name="file" accept=".json,.jsonl" required>'
    )


def _input(action: str, name: str, label: str, typed: Mapping[str, str], kind: str) -> str:
    place = f"{action}-{name}"
    return (
        f'<label for="{place}">{label}</label>'
        f'<input id="{place}" name="{name}" value="{safe(typed.get(name, ""))}" {kind} maxlength="{_MOST_NAME}" required>'
    )


def _select(action: str, label: str, choices: Sequence[tuple[str, str]], typed: Mapping[str, str]) -> str:
    """Return a list to choose from; empty if there is no choice."""
    if not choices:
        return ""
    chosen = typed.get("about", "")
    listed = "".join(
        f'<option value="{safe(value)}"{" selected" if value == chosen else ""}>{safe(words)}</option>'
        for value, words in choices
    )
    return (
        f'<label for="{action}-about">{label}</label><select id="{action}-about" name="about" required>'
        f'<option value="">Choose one</option>{listed}</select>'
    )


def _why(action: str, typed: Mapping[str, str]) -> str:
    return (
        f'<label for="{action}-reason">Reason, which is kept with it</label><textarea id="{action}-reason" name="reason" rows="2" '
        f'maxlength="{MOST_REASON}" required>{safe(typed.get("reason", ""))}</textarea>'
    )


def _runs(desk: Desk) -> str:
    listed = markup.table(
        ("Asked for", "By", "Reason", "State", "When", "Run"),
        [
            (run.what, run.asked_by, run.reason, run.state, f"{run.at:%Y-%m-%d %H:%M}", Links(((run.address, "Open"),)))
            for run in desk.runs
        ],
        numbers=(),
        caption="What was asked for lately, newest first",
    )
    return f"<h3>Asked for lately</h3>{listed}"
