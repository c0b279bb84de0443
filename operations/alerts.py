"""Alerts: what is wrong, who owns it, what to look at and what to type; and the record of who has been told.

An alert is open from when it is first found until it is found no longer. Each endpoint gets one message when an alert opens, at
most one reminder per day, and one when it is over. An alert that another one explains is told with that one, not by itself.
One that opens and closes again and again is over only when it has been quiet for long, so that it is told at a bounded rate.
Numbers of days on which another alert was open stay unusual when that one is over: they are told no earlier than with a reminder.

The record is `alerts.json` in the home. It is replaced by a rename, under a lock that is never held while a message is sent. A
message is recorded before it is sent, and again after: if a process dies in between, nobody knows whether it was sent. It is not
sent again for a quarter of an hour, as another process may be sending it, and then it is: an alert told twice does less harm
than one that is never told.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ingestion import atomic
from ingestion.aside import set_aside
from ingestion.bronze import force_to_disk
from ingestion.errors import ClearwellError, Permanent
from ingestion.home import Home
from ingestion.land import Report, silent
from ingestion.locks import hold
from operations.clocks import moment
from operations.notify import LOG, Endpoint, Message
from operations.output import escaped

RUNBOOK = "docs/operating.md"
RUNBOOK_VARIABLE = "CLEARWELL_RUNBOOK"
REMIND_EVERY = timedelta(days=1)
# Longer than a pass sends: what it has not begun to send by then is left to the next pass, which would send it as well.
_SENDING, _SEND_SECONDS = timedelta(minutes=15), 300.0
# What an endpoint did not take by then about an alert that is over, nobody needs any more.
_FORGET_AFTER = timedelta(days=1)
# These explain unusual numbers of their days, which stay unusual for a week after: so long, they are remembered.
_REMEMBERED, _REMEMBER = ("empty", "few_records"), timedelta(days=8)
# An alert that opened so often within this time is flapping: then it is over only after so long without it.
_FLAPS, _FLAPPING, _QUIET = 3, timedelta(days=1), timedelta(hours=6)
_PATIENCE_SECONDS = 60.0
# What a message holds at most: services refuse long ones, and then nobody would be told. The last lines, with what to type, are whole.
_MOST_ROWS, _MOST_CHARACTERS, _MOST_TITLE = 10, 400, 200

# Every kind of alert, with whether it is urgent. docs/operating.md has a section for each.
KINDS: Mapping[str, bool] = {
    "watchdog": True,
    "clock": True,
    "disk": True,
    "unpublished": True,
    "unreadable": True,
    "pinned": False,
    "no_build": True,
    "task_failed": True,
    "deadline": True,
    "held": True,
    "stale": True,
    "empty": True,
    "few_records": True,
    "incomplete": True,
    "error_budget": False,
    "unusual": False,
    "finding": True,
    "endpoint": True,
    "ping": True,
}


@dataclass(frozen=True)
class Alert:
    """One thing that is wrong. `about` is the dataset, source, DAG or check; `todo` is what to type.

    `causes` name alerts that would explain this one, the likeliest first: each the key of one alert, or a kind. `days` are those
    that it is about, as FIRST/LAST, if it is about days that are over.
    """

    kind: str
    what: str
    todo: str
    owner: str
    about: str = ""
    rows: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    days: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind} is no kind of alert")
        # lists, as read from the record
        object.__setattr__(self, "days", tuple(self.days))
        object.__setattr__(self, "rows", tuple(self.rows))
        object.__setattr__(self, "causes", tuple(self.causes))

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.about}" if self.about else self.kind

    @property
    def is_urgent(self) -> bool:
        return KINDS[self.kind]


@dataclass(frozen=True)
class Told:
    """The last message to an endpoint about an alert: opened, reminder or over; when; and whether it is sending, sent or failed."""

    what: str
    at: datetime
    state: str


@dataclass(frozen=True)
class Entry:
    """An alert in the record: since when it is open, since when it is over, and who was told.

    `opened` are the times of the last day at which it opened; `quiet_since`, of a flapping one, is when it was found no longer.
    """

    alert: Alert
    since: datetime
    over_at: datetime | None = None
    told: Mapping[str, Told] = field(default_factory=dict)
    opened: tuple[datetime, ...] = ()
    quiet_since: datetime | None = None

    def is_flapping(self, now: datetime) -> bool:
        return len(_lately(self.opened, now)) >= _FLAPS


def _lately(moments: Iterable[datetime], now: datetime) -> tuple[datetime, ...]:
    return tuple(one for one in moments if abs(now - one) < _FLAPPING)


@dataclass(frozen=True)
class Group:
    """An alert and those that it explains; or one that is left of an alert that is over, which it `follows`."""

    entry: Entry
    implied: tuple[Alert, ...] = ()
    follows: Entry | None = None


@dataclass(frozen=True)
class Outcome:
    """What is open after an update, and which endpoints did not take a message, each with the reason."""

    groups: tuple[Group, ...]
    failed: Mapping[str, str]
    sent: tuple[str, ...] = ()
    is_recorded: bool = True


Record = dict[str, Entry]


def grouped(record: Mapping[str, Entry]) -> list[Group]:
    """Put each open alert under the one that explains it; the first are those that nothing explains."""
    open_now = {key: one for key, one in record.items() if one.over_at is None}
    roots: dict[str, list[Alert]] = {}
    for key, entry in open_now.items():
        root = _root(key, open_now)
        roots.setdefault(root, [])
        if root != key:
            roots[root].append(entry.alert)
    order = list(KINDS)
    return [
        Group(open_now[key], tuple(sorted(implied, key=lambda one: one.key)), _followed(open_now[key].alert, record))
        for key, implied in sorted(roots.items(), key=lambda one: (order.index(open_now[one[0]].alert.kind), one[0]))
    ]


def _followed(alert: Alert, record: Mapping[str, Entry]) -> Entry | None:
    """Return the alert that is over and was open on all days that this one is about. It is noticed hours after it begins."""
    for key in alert.causes:
        entry = record.get(key)
        if entry and entry.over_at and entry.alert.kind in _REMEMBERED and alert.days:
            first, last = (entry.since - timedelta(days=1)).date().isoformat(), entry.over_at.date().isoformat()
            spans = [one.split("/") for one in alert.days]
            if all(begins <= last and ends >= first for begins, ends in spans):
                return entry
    return None


def _root(key: str, open_now: Mapping[str, Entry]) -> str:
    """Follow the causes of an alert to one without any that is open."""
    seen = {key}
    while True:
        cause = next(
            (
                other
                for name in open_now[key].alert.causes
                for other in sorted(open_now)
                if other not in seen and (other == name or open_now[other].alert.kind == name)
            ),
            None,
        )
        if cause is None:
            return key
        seen.add(cause)
        key = cause


def merge(
    record: Mapping[str, Entry], found: Iterable[Alert], is_judged: Callable[[Alert], bool], now: datetime
) -> Record:
    """Return the record with what was found. An open alert that was judged and not found is over; others stay as they are."""
    there = {one.key: one for one in found}
    merged: Record = {}
    for key, entry in record.items():
        if key in there:
            merged[key] = _found_again(entry, there[key], now)
        elif entry.over_at is None and is_judged(entry.alert):
            merged[key] = _found_no_more(entry, now)
        else:
            merged[key] = entry
    return merged | {key: Entry(one, now, opened=(now,)) for key, one in there.items() if key not in merged}


def _found_again(entry: Entry, alert: Alert, now: datetime) -> Entry:
    told_over = any(one.what == "over" for one in entry.told.values())
    opens = entry.over_at is not None or entry.quiet_since is not None
    return replace(
        entry,
        alert=alert,
        since=now if told_over and entry.over_at else entry.since,
        over_at=None,
        quiet_since=None,
        opened=(*_lately(entry.opened, now), now) if opens else entry.opened,
    )


def _found_no_more(entry: Entry, now: datetime) -> Entry:
    quiet_since = entry.quiet_since or now
    if entry.is_flapping(quiet_since) and abs(now - quiet_since) < _QUIET:
        return replace(entry, quiet_since=quiet_since)
    return replace(entry, over_at=now, quiet_since=None)


def due(record: Mapping[str, Entry], ids: Iterable[str], now: datetime) -> list[tuple[str, str, str]]:
    """List the messages to send now: the endpoint, the alert's key, and opened, reminder or over."""
    ids = list(ids)
    roots = {one.entry.alert.key: one for one in grouped(record)}
    found = []
    for key, entry in record.items():
        follows = roots[key].follows if key in roots else None
        for name in ids:
            told = entry.told.get(name)
            if not told and follows and follows.over_at and (heard := follows.told.get(name)) and heard.state == "sent":
                told = Told("opened", max(entry.since, follows.over_at), "sent")
            if what := _next(entry, told, key in roots, now):
                found.append((name, key, what))
    return found


def _next(entry: Entry, told: Told | None, is_root: bool, now: datetime) -> str:
    # Another process may be sending it, by the clock of another machine. One that is set back must not make this last for ever.
    if told and told.state == "sending" and abs(now - told.at) < _SENDING:
        return ""
    if entry.over_at is not None:
        is_old = now - entry.over_at >= _FORGET_AFTER
        return "" if told is None or _is_told(told) or is_old else "over"
    if not is_root:
        return ""
    if told is None or told.what == "over":
        return "opened"
    if told.state != "sent":
        return told.what
    return "reminder" if abs(now - told.at) >= REMIND_EVERY else ""


def _is_told(told: Told) -> bool:
    """Whether nothing more is to be said to an endpoint about an alert that is over."""
    return (told.what, told.state) in (("over", "sent"), ("opened", "failed"))


def pruned(record: Mapping[str, Entry], now: datetime) -> Record:
    """Return the record without alerts that are over, about which all have been told, and that have not opened for a day.

    All are those who were told that it is open, also by a process with other endpoints than this one's. What is over for a day
    goes in any case, except what others may follow.
    """

    def is_done(entry: Entry) -> bool:
        is_told = all(map(_is_told, entry.told.values())) and not _lately(entry.opened, now)
        if entry.over_at is None or (entry.alert.kind in _REMEMBERED and now - entry.over_at < _REMEMBER):
            return False
        return is_told or now - entry.over_at >= _FORGET_AFTER

    return {key: entry for key, entry in record.items() if not is_done(entry)}


def message(group: Group, what: str, now: datetime, env: Mapping[str, str] = os.environ) -> Message:
    """Write the message about an alert and those that it explains."""
    entry, alert = group.entry, group.entry.alert
    about = f": {alert.about}" if alert.about else ""
    words = {"opened": "alert", "reminder": "still open", "over": "over"}[what]
    title = f"Clearwell {words}: {alert.kind.replace('_', ' ')}{about}"
    until = f" to {entry.over_at:%Y-%m-%d %H:%M} UTC" if entry.over_at else ""
    lines = [
        f"Over: {alert.what}" if what == "over" else alert.what,
        f"Owner: {alert.owner}. {'Urgent' if alert.is_urgent else 'Not urgent'}. Since {entry.since:%Y-%m-%d %H:%M} UTC{until}.",
    ]
    if what != "over":
        if entry.is_flapping(now):
            hours = _QUIET // timedelta(hours=1)
            lines.append(
                f"It opened {len(_lately(entry.opened, now))} times within a day: it is over after {hours} hours without it."
            )
        lines += _some(alert.rows)
        if (before := group.follows) and before.over_at:
            kind = before.alert.kind.replace("_", " ")
            lines.append(
                f"Explained by an alert that is over since {before.over_at:%Y-%m-%d %H:%M} UTC: {kind}: {before.alert.what}"
            )
        if group.implied:
            lines.append("Explained by it:")
            lines += _some([f"{one.kind.replace('_', ' ')}: {one.what}" for one in group.implied])
    ends = [f"Next: {alert.todo}", f"Runbook: {runbook(alert.kind, env)}"] if what != "over" else []
    # a name, such as a file's, must not make a line of its own
    text = "\n".join([*(_cut(escaped(one), _MOST_CHARACTERS) for one in lines), *map(escaped, ends)])
    return Message(_cut(escaped(title), _MOST_TITLE), text, is_over=what == "over", is_urgent=alert.is_urgent)


def _some(rows: Sequence[str]) -> list[str]:
    """Return the first rows as lines, and how many others there are."""
    more = [f"- and {len(rows) - _MOST_ROWS} more"] if len(rows) > _MOST_ROWS else []
    return [*(f"- {row}" for row in rows[:_MOST_ROWS]), *more]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def runbook(kind: str, env: Mapping[str, str] = os.environ) -> str:
    """Return the link to a kind's section of the runbook; CLEARWELL_RUNBOOK is where your people read it."""
    return f"{env.get(RUNBOOK_VARIABLE) or RUNBOOK}#{kind}"


def update(
    home: Home,
    now: datetime,
    found: Sequence[Alert],
    is_judged: Callable[[Alert], bool],
    endpoints: Sequence[Endpoint],
    report: Report = silent,
) -> Outcome:
    """Record what was found, and send what is due. An endpoint that takes nothing is an alert of its own, to the others.

    If the record cannot be written, as on a full disk, the messages are sent all the same.
    """
    return _with_endpoints(home, now, _update(home, now, found, is_judged, endpoints, report), endpoints, report)


def tested(
    home: Home, now: datetime, failed: Mapping[str, str], endpoints: Sequence[Endpoint], report: Report = silent
) -> Outcome:
    """Tell which endpoints took a test message and which did not, by id with the reason: to the others, as when an alert is not taken."""
    sent = tuple(one.id for one in endpoints if one.id not in failed)
    return _with_endpoints(home, now, Outcome(tuple(read(home)), failed, sent), endpoints, report)


def close(home: Home, now: datetime, key: str, endpoints: Sequence[Endpoint], report: Report) -> None:
    """Tell that a failure or a missed deadline is over as a person says so: nobody may ever run that task again. All else ends by itself."""
    open_now = {one.key for group in read(home) for one in (group.entry.alert, *group.implied)}
    found = sorted(one for one in open_now if one.startswith(("task_failed:", "deadline:")))
    if key not in found:
        raise Permanent(
            f"no open alert {key} is one that a person can end",
            todo=f"choose one of: {', '.join(found)}" if found else "clearwell watch, which lists what is open",
        )
    update(home, now, [], lambda one: one.key == key, endpoints, report)


def _with_endpoints(
    home: Home, now: datetime, outcome: Outcome, endpoints: Sequence[Endpoint], report: Report
) -> Outcome:
    """Tell that an endpoint takes nothing, or takes messages again."""
    sent, failed = set(outcome.sent), dict(outcome.failed)
    down = [_endpoint_alert(one.name, why) for one in endpoints if (why := failed.get(one.id))]
    answered = {_endpoint_alert(one.name, "").key for one in endpoints if one.id in sent and one.id not in failed}
    open_now = {one.entry.alert.key for one in outcome.groups}
    gone = {one for one in open_now if one.startswith("endpoint:")} - {
        _endpoint_alert(one.name, "").key for one in endpoints
    }
    if not down and not (open_now & (answered | gone)):
        return outcome
    others = [one for one in endpoints if one.id not in failed]
    second = _update(home, now, down, lambda one: one.key in answered | gone, others, report)
    return replace(
        second,
        failed={**failed, **second.failed},
        sent=(*outcome.sent, *second.sent),
        is_recorded=outcome.is_recorded and second.is_recorded,
    )


def _endpoint_alert(name: str, why: str) -> Alert:
    return Alert(
        kind="endpoint",
        about=name,
        owner="data-platform",
        what=f"alerts do not reach {name}: {why}",
        todo="correct CLEARWELL_ALERTS or the service, then clearwell watch --test-alert",
    )


def _update(
    home: Home,
    now: datetime,
    found: Sequence[Alert],
    is_judged: Callable[[Alert], bool],
    endpoints: Sequence[Endpoint],
    report: Report,
) -> Outcome:
    names = {one.id: one for one in endpoints}
    claimed: list[tuple[str, str, str]] = []

    def claim(record: Record) -> Record:
        merged = merge(record, found, is_judged, now)
        claimed[:] = due(merged, names, now)
        return _marked(merged, [(*one, "sending") for one in claimed], now)

    record, is_recorded = _change(home, claim, report)
    failed, done = _send(record, claimed, names, now)

    def confirm(record: Record) -> Record:
        # what was not taken is due again at the next pass
        return pruned(_marked(record, done, now), now)

    after, is_confirmed = _change(home, confirm, report) if is_recorded else (record, False)
    sent = tuple(dict.fromkeys(name for name, _, _, told in done if told == "sent"))
    return Outcome(tuple(grouped(after)), failed, sent, is_recorded and is_confirmed)


def _send(
    record: Record, claimed: Iterable[tuple[str, str, str]], names: Mapping[str, Endpoint], now: datetime
) -> tuple[dict[str, str], list[tuple[str, str, str, str]]]:
    """Send the messages; return the endpoints that failed, with the reasons, and for each message whether it was sent or failed.

    Endpoints that are slow may take many messages for longer than a pass has: the rest counts as failed, so it is due at the next pass.
    """
    groups = {one.entry.alert.key: one for one in grouped(record)}
    failed: dict[str, str] = {}
    done: list[tuple[str, str, str, str]] = []
    until = time.monotonic() + _SEND_SECONDS
    for name, key, what in claimed:
        is_late = bool(done) and time.monotonic() >= until
        # an endpoint that is down is not tried again in this pass
        if name not in failed and not is_late:
            why = names[name].send(message(groups.get(key) or Group(record[key]), what, now))
            failed |= {name: why} if why else {}
        done.append((name, key, what, "failed" if name in failed or is_late else "sent"))
    return failed, done


def _marked(record: Record, messages: Iterable[tuple[str, str, str, str]], now: datetime) -> Record:
    """Return the record with the state of each message."""
    marked = dict(record)
    for name, key, what, told in messages:
        if key in marked:
            marked[key] = replace(marked[key], told={**marked[key].told, name: Told(what, now, told)})
    return marked


def _change(home: Home, change: Callable[[Record], Record], report: Report) -> tuple[Record, bool]:
    """Change the record, under its lock; return it, and whether it could be written."""
    before: Record = {}
    try:
        with _locked(home):
            before = _read(home, report)
            after = change(before)
            # what could be read of a damaged record is kept, which has been set aside
            if after != before or (after and not path(home).exists()):
                _write(home, after)
        return after, True
    except (OSError, ClearwellError) as error:
        report(f"the record of alerts cannot be written, so messages may be repeated: {type(error).__name__}: {error}")
    with suppress(OSError):
        before = _read(home, report)
    return change(before), False


def read(home: Home, report: Report = silent) -> list[Group]:
    """Return the open alerts, in groups."""
    return grouped(_read(home, report))


def keys(home: Home) -> frozenset[str]:
    """Return the keys of the alerts that are open, or over but not told to everybody."""
    record = _read(home, silent)
    return frozenset(
        key for key, one in record.items() if one.over_at is None or not all(map(_is_told, one.told.values()))
    )


def path(home: Home) -> Path:
    """Return the file of the record."""
    return home.root / "alerts.json"


def _locked(home: Home) -> AbstractContextManager[None]:
    return hold(home.root / "alerts.lock", "records alerts", silent, _PATIENCE_SECONDS)


def _read(home: Home, report: Report) -> Record:
    """Read the record. What is damaged in it must keep nobody from being told: it is set aside, and the rest counts."""
    try:
        content = path(home).read_bytes()
    except FileNotFoundError:
        return {}
    record: Record = {}
    damage = ""
    try:
        for key, row in json.loads(content).items():
            try:
                record[key] = _entry(row)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                damage = type(error).__name__
    except (AttributeError, ValueError) as error:
        damage = type(error).__name__
    if damage:
        report(f"the record of alerts was damaged and is set aside; open alerts may be told again: {damage}")
        set_aside(home, path(home), "the record of alerts cannot be read")
    return record


def _entry(row: Mapping[str, Any]) -> Entry:
    told = {name: Told(str(one["what"]), moment(one["at"]), str(one["state"])) for name, one in row["told"].items()}
    over_at = moment(row["over_at"]) if row["over_at"] else None
    # an earlier version did not record these
    opened = tuple(map(moment, row.get("opened", ())))
    quiet_since = moment(row["quiet_since"]) if row.get("quiet_since") else None
    return Entry(_alert(row["alert"]), moment(row["since"]), over_at, told, opened, quiet_since)


def _alert(row: Mapping[str, Any]) -> Alert:
    """Read an alert; what a later version says of it besides is left out."""
    known = {one.name: row[one.name] for one in fields(Alert) if one.name in row}
    texts = [text for value in known.values() for text in ([value] if isinstance(value, str) else value)]
    if not all(isinstance(one, str) for one in texts):
        raise TypeError("an alert is made of texts")
    return Alert(**known)


def _write(home: Home, record: Mapping[str, Entry]) -> None:
    with atomic.replacing(path(home)) as aside:
        aside.write_text(json.dumps({key: asdict(entry) for key, entry in record.items()}, indent=1, default=_text))
        force_to_disk(aside)


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


__all__ = ["KINDS", "LOG", "Alert", "Group", "Outcome", "message", "read", "update"]
