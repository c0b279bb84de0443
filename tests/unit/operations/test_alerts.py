"""Who is told what, and when: each alert once, grouped, reminded daily, and told when it is over; also after crashes."""

import json
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingestion.errors import Permanent
from ingestion.home import Home
from operations import alerts
from operations.alerts import Alert
from operations.notify import Endpoint, Message

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass
class Inbox:
    """An endpoint that keeps what it gets, unless it is down."""

    id: str = "a"
    name: str = "endpoint 1 (test)"
    is_down: bool = False
    got: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> str:
        if self.is_down:
            return "it does not answer"
        self.got.append(message)
        return ""

    def titles(self) -> list[str]:
        return [one.title.removeprefix("Clearwell ") for one in self.got]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, tmp_path)


def alert(kind: str, about: str = "", causes: tuple[str, ...] = (), what: str = "it is wrong") -> Alert:
    return Alert(kind, what, f"clearwell status about {about}", "shop-team", about, ("12 rows",), causes)


def everything(_: Alert) -> bool:
    return True


def not_endpoints(one: Alert) -> bool:
    return one.kind != "endpoint"


def run(
    home: Home, now: datetime, found: list[Alert], *boxes: Endpoint, judged: Callable = not_endpoints
) -> alerts.Outcome:
    return alerts.update(home, now, found, judged, boxes)


def test_an_alert_is_told_once_reminded_daily_and_told_when_it_is_over(home: Home) -> None:
    box = Inbox()
    for minutes in range(0, 50 * 60, 5):
        run(home, NOON + minutes * MINUTE, [alert("stale", "orders")], box)
    assert box.titles() == ["alert: stale: orders", "still open: stale: orders", "still open: stale: orders"]
    for minutes in (3000, 3005):
        assert run(home, NOON + minutes * MINUTE, [], box).groups == ()
    assert box.titles()[3:] == ["over: stale: orders"] and box.got[-1].is_over
    assert alerts.keys(home) == frozenset()
    run(home, NOON + 3 * DAY, [alert("stale", "orders")], box)
    assert box.titles()[4:] == ["alert: stale: orders"]


def test_a_message_has_the_owner_the_rows_what_to_type_and_the_runbook(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEARWELL_RUNBOOK", "https://wiki.example.com/operating")
    box = Inbox()
    many = Alert("held", "ten are held", "clearwell status", "web-team", "clicks", tuple(f"row {n}" for n in range(12)))
    run(home, NOON, [many], box)
    assert box.got[0].title == "Clearwell alert: held: clicks"
    assert box.got[0].body.splitlines() == [
        "ten are held",
        "Owner: web-team. Urgent. Since 2026-11-20 12:00 UTC.",
        *(f"- row {n}" for n in range(10)),
        "- and 2 more",
        "Next: clearwell status",
        "Runbook: https://wiki.example.com/operating#held",
    ]


@pytest.mark.parametrize(
    "name",
    ['o\'rders "x"', "<b>bold</b>", "x" * 60, "two words", "{0} %s", "a\nNext: rm -rf /\r\nb", "\u202eright to left"],
)
def test_a_name_of_any_kind_is_told_on_its_line_and_kept(home: Home, name: str) -> None:
    box = Inbox()
    found = replace(alert("held", name, what=f"{name} is held"), rows=(f"{name}: 3",))
    run(home, NOON, [found], box)
    assert [one.entry.alert for one in alerts.read(home)] == [found]
    plain = name if name.isprintable() else name.encode("unicode_escape").decode()
    assert box.titles() == [f"alert: held: {plain}"]
    lines = box.got[0].body.split("\n")
    assert (lines[0], lines[2]) == (f"{plain} is held", f"- {plain}: 3")
    assert [line for line in lines if line.startswith("Next:")] == [f"Next: clearwell status about {plain}"]
    run(home, NOON + HOUR, [], box)
    assert box.titles()[1] == f"over: held: {plain}"


def test_what_another_alert_explains_is_told_with_it(home: Home) -> None:
    box = Inbox()
    found = [
        alert("stale", "orders", ("no_build",), "orders is late"),
        alert("no_build", causes=("disk", "task_failed:build_warehouse.plan")),
        alert("disk"),
        alert("finding", "odd", ("held",)),
    ]
    outcome = run(home, NOON, found, box)
    assert [(one.entry.alert.key, [i.key for i in one.implied]) for one in outcome.groups] == [
        ("disk", ["no_build", "stale:orders"]),
        ("finding:odd", []),
    ]
    assert box.titles() == ["alert: disk", "alert: finding: odd"]
    assert "- stale: orders is late" in box.got[0].body
    # the cause is gone, and something is left: it is told by itself
    run(home, NOON + HOUR, [found[0]], box)
    assert sorted(box.titles()[2:]) == ["alert: stale: orders", "over: disk", "over: finding: odd"]


def test_causes_in_a_circle_end(home: Home) -> None:
    box = Inbox()
    run(home, NOON, [alert("stale", "a", ("held:b",)), alert("held", "b", ("stale:a",))], box)
    assert sorted(box.titles()) == ["alert: held: b", "alert: stale: a"]


def test_what_was_not_judged_stays_open(home: Home) -> None:
    box = Inbox()
    run(home, NOON, [alert("task_failed", "build_warehouse.plan"), alert("disk")], box)
    outcome = run(home, NOON + HOUR, [], box, judged=lambda one: one.kind == "disk")
    assert [one.entry.alert.key for one in outcome.groups] == ["task_failed:build_warehouse.plan"]
    assert box.titles()[-1] == "over: disk"


def test_an_endpoint_that_is_down_is_told_to_the_others_and_gets_everything_later(home: Home) -> None:
    up, down = Inbox("a", "endpoint 1 (test)"), Inbox("b", "endpoint 2 (test)", is_down=True)
    outcome = run(home, NOON, [alert("disk")], up, down)
    assert outcome.failed == {"b": "it does not answer"}
    assert up.titles() == ["alert: disk", "alert: endpoint: endpoint 2 (test)"]
    for minutes in range(5, 60, 5):
        outcome = run(home, NOON + minutes * MINUTE, [alert("disk")], up, down)
        assert outcome.failed and len(up.got) == 2
    down.is_down = False
    run(home, NOON + HOUR, [alert("disk")], up, down)
    run(home, NOON + HOUR + 5 * MINUTE, [alert("disk")], up, down)
    assert "alert: disk" in down.titles()
    assert up.titles()[2:] == ["over: endpoint: endpoint 2 (test)"]
    assert [one.entry.alert.key for one in alerts.read(home)] == ["disk"]


def test_one_that_was_down_all_the_time_is_not_told_about_what_is_over(home: Home) -> None:
    up, down = Inbox("a", "endpoint 1 (test)"), Inbox("b", "endpoint 2 (test)", is_down=True)
    run(home, NOON, [alert("disk")], up, down)
    run(home, NOON + HOUR, [], up, down)
    down.is_down = False
    for minutes in range(65, 90, 5):
        run(home, NOON + minutes * MINUTE, [], up, down)
    assert not [one for one in down.titles() if "disk" in one]
    assert alerts.read(home) == []


def test_an_endpoint_that_is_taken_away_is_no_alert_any_more(home: Home) -> None:
    up, down = Inbox("a", "endpoint 1 (test)"), Inbox("b", "endpoint 2 (test)", is_down=True)
    run(home, NOON, [alert("disk")], up, down)
    run(home, NOON + HOUR, [alert("disk")], up)
    assert [one.entry.alert.key for one in alerts.read(home)] == ["disk"]


def test_one_that_another_process_does_not_know_is_told_that_it_is_over(home: Home) -> None:
    """The watchdog has a webhook. Airflow's tasks have not, and one of them ends what was told there."""
    log, box = Inbox("log", "log"), Inbox()
    run(home, NOON, [alert("finding", "odd")], log, box)
    run(home, NOON + 2 * DAY, [], log)
    run(home, NOON + 2 * DAY + 5 * MINUTE, [], log, box)
    assert box.titles() == ["alert: finding: odd", "over: finding: odd"]
    run(home, NOON + 4 * DAY, [], log, box)
    assert json.loads(alerts.path(home).read_text()) == {}


@pytest.mark.parametrize("behind", [timedelta(seconds=-2), timedelta(seconds=2)])
def test_two_machines_whose_clocks_differ_send_a_message_once(home: Home, behind: timedelta) -> None:
    """While one of them sends it, the other looks as well."""
    other = Inbox()

    class Slow(Inbox):
        def send(self, message: Message) -> str:
            run(home, NOON - behind, [alert("disk")], other)
            return super().send(message)

    slow = Slow()
    run(home, NOON, [alert("disk")], slow)
    assert slow.titles() + other.titles() == ["alert: disk"]


def test_a_message_is_short_enough_to_be_taken_and_says_what_to_type(home: Home) -> None:
    """A hundred sources are late at once, some with names of any length: behind one cause, and each for itself."""
    box = Inbox()
    late = [alert("stale", f"s{number:02}", ("no_build",), "late " * 5000) for number in range(100)]
    run(home, NOON, [alert("no_build", what="x" * 9000), *late], box)
    (one,) = box.got
    lines = one.body.splitlines()
    assert len(one.body) < 8000 and max(map(len, lines)) == 400
    assert lines.count("- and 90 more") == 1 and sum(line.startswith("- stale: late late") for line in lines) == 10
    assert lines[-2:] == ["Next: clearwell status about ", "Runbook: docs/operating.md#no_build"]
    name = "n" * 1000
    run(home, NOON + HOUR, [alert("stale", name)], box)
    assert len(box.got[-1].title) <= 200 and f"Next: clearwell status about {name}" in box.got[-1].body.splitlines()


def test_what_a_pass_has_no_time_for_is_sent_by_the_next_one(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Endpoints that take a minute for each message: a second pass must not send what the first is still about to send."""
    seconds = [0.0]
    monkeypatch.setattr(alerts.time, "monotonic", lambda: seconds[0])

    class Slow(Inbox):
        def send(self, message: Message) -> str:
            seconds[0] += 59
            return super().send(message)

    box = Slow()
    found = [alert("stale", f"s{number:02}") for number in range(20)]
    for minutes in (0, 6, 12, 18, 24):
        run(home, NOON + minutes * MINUTE, found, box)
    assert box.titles() == [f"alert: stale: s{number:02}" for number in range(20)]
    assert seconds[0] <= 20 * 59


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Deadly(Inbox):
    """An endpoint at which the process dies: before it has taken the message, or after."""

    takes: bool = True

    def send(self, message: Message) -> str:
        if self.takes:
            self.got.append(message)
        raise Killed


@pytest.mark.parametrize("takes", [True, False])
def test_a_crash_between_send_and_record_loses_nothing_and_repeats_nothing_at_once(home: Home, takes: bool) -> None:
    box, deadly = Inbox(), Deadly(takes=takes)
    with pytest.raises(Killed):
        run(home, NOON, [alert("disk")], deadly)
    for minutes in (5, 10, 14):
        run(home, NOON + minutes * MINUTE, [alert("disk")], box)
    assert box.got == []
    for minutes in (15, 20, 60):
        run(home, NOON + minutes * MINUTE, [alert("disk")], box)
    assert box.titles() == ["alert: disk"]
    # and the end is told, whatever was known about the start
    with pytest.raises(Killed):
        run(home, NOON + 2 * HOUR, [], deadly)
    for minutes in (125, 140, 145):
        run(home, NOON + minutes * MINUTE, [], box)
    assert box.titles() == ["alert: disk", "over: disk"] and alerts.keys(home) == frozenset()


def test_an_alert_that_opens_and_is_over_around_a_crash_is_told_to_be_over(home: Home) -> None:
    box = Inbox()
    with pytest.raises(Killed):
        run(home, NOON, [alert("disk")], Deadly())
    run(home, NOON + 5 * MINUTE, [], box)
    run(home, NOON + 16 * MINUTE, [], box)
    assert box.titles() == ["over: disk"]


def test_a_damaged_record_is_set_aside_and_nothing_is_left_untold(home: Home) -> None:
    box = Inbox()
    for number, garbage in enumerate((b"{", b"", b"\xff\xfe\x00", b"[]", b'{"disk": {}}', b'{"disk": 3}')):
        alerts.path(home).write_bytes(garbage)
        run(home, NOON + number * HOUR, [alert("disk")], box)
    assert box.titles() == ["alert: disk"] * 6
    assert len(list(home.broken.glob("alerts.json*"))) == 12


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("disk", "since"), "2026-11-20T12:00:00"),
        (("disk", "told", "a", "at"), "2026-11-20T12:00:00"),
        (("disk", "told", "a", "at"), None),
        (("disk", "alert", "kind"), "of a later version"),
        (("disk", "alert", "what"), None),
        (("disk", "alert", "rows"), [1]),
    ],
)
def test_one_damaged_alert_of_the_record_keeps_nobody_from_being_told(
    home: Home, place: tuple[str, ...], value: object
) -> None:
    box = Inbox()
    found = [alert("disk"), alert("stale", "orders")]
    run(home, NOON, found, box)
    rows = json.loads(alerts.path(home).read_text())
    part = rows
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    alerts.path(home).write_text(json.dumps(rows))
    for minutes in (5, 10):
        run(home, NOON + minutes * MINUTE, found, box)
    assert box.titles() == ["alert: disk", "alert: stale: orders", "alert: disk"]
    assert sorted(one.entry.alert.key for one in alerts.read(home)) == ["disk", "stale:orders"]
    assert len(list(home.broken.glob("alerts.json"))) == 1


def test_what_is_left_of_a_damaged_record_is_kept_though_nothing_has_changed(home: Home) -> None:
    box = Inbox()
    run(home, NOON, [alert("stale", "orders")], box)
    rows = json.loads(alerts.path(home).read_text())
    alerts.path(home).write_text(json.dumps({**rows, "odd": 3}))
    for minutes in (5, 10):
        run(home, NOON + minutes * MINUTE, [alert("stale", "orders")], box)
    assert box.titles() == ["alert: stale: orders"]


def test_what_a_later_version_says_of_an_alert_is_left_out(home: Home) -> None:
    box = Inbox()
    run(home, NOON, [alert("disk")], box)
    rows = json.loads(alerts.path(home).read_text())
    rows["disk"]["severity"] = rows["disk"]["alert"]["severity"] = 3
    alerts.path(home).write_text(json.dumps(rows))
    run(home, NOON + MINUTE, [alert("disk")], box)
    assert box.titles() == ["alert: disk"] and not home.broken.exists()


def test_what_cannot_be_recorded_is_sent_all_the_same(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    box = Inbox()
    run(home, NOON, [alert("stale", "orders")], box)
    monkeypatch.setattr(alerts, "_write", full)
    outcome = run(home, NOON + HOUR, [alert("stale", "orders"), alert("disk")], box)
    assert not outcome.is_recorded and [one.entry.alert.key for one in outcome.groups] == ["disk", "stale:orders"]
    # what is in the record is not sent again; what could not be recorded may be
    assert box.titles() == ["alert: stale: orders", "alert: disk"]


def test_a_failure_that_no_run_will_end_is_ended_by_a_person_and_nothing_else_is(home: Home) -> None:
    """A decision that could not be made: nobody may ever ask for another one."""
    box = Inbox()
    run(home, NOON, [alert("task_failed", "decide.carry_out"), alert("deadline", "maintain"), alert("disk")], box)
    for key in ("disk", "task_failed:decide", "held:orders", ""):
        with pytest.raises(Permanent) as refused:
            alerts.close(home, NOON, key, [box], print)
        assert refused.value.todo == "choose one of: deadline:maintain, task_failed:decide.carry_out"
    alerts.close(home, NOON + HOUR, "task_failed:decide.carry_out", [box], print)
    assert box.titles()[3:] == ["over: task failed: decide.carry_out"]
    assert [one.entry.alert.key for one in alerts.read(home)] == ["disk", "deadline:maintain"]
    alerts.close(home, NOON + HOUR, "deadline:maintain", [box], print)
    with pytest.raises(Permanent, match="clearwell watch, which lists what is open"):
        alerts.close(home, NOON + HOUR, "deadline:maintain", [box], print)


def test_a_kind_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="odd is no kind"):
        alert("odd")


@dataclass
class Appending:
    """An endpoint that processes share: each message is a line of a file."""

    file: Path
    id: str = "a"
    name: str = "endpoint 1 (test)"

    def send(self, message: Message) -> str:
        with self.file.open("a") as file:
            file.write(message.title + "\n")
        return ""


def _pass(root: Path, started: "multiprocessing.synchronize.Barrier", number: int) -> None:
    started.wait(60)
    home = Home(root, root)
    own = [alert("disk"), alert("task_failed", f"dag.{number}")]
    alerts.update(home, NOON, own, lambda _: False, [Appending(root / "sent")])


def test_processes_at_the_same_time_send_each_message_once_and_lose_none(home: Home) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    workers = [context.Process(target=_pass, args=(home.root, barrier, number)) for number in range(4)]
    for one in workers:
        one.start()
    for one in workers:
        one.join(120)
    assert [one.exitcode for one in workers] == [0] * 4
    sent = sorted((home.root / "sent").read_text().splitlines())
    assert sent == ["Clearwell alert: disk", *(f"Clearwell alert: task failed: dag.{n}" for n in range(4))]
    assert len(alerts.read(home)) == 5


def test_an_alert_that_opens_and_closes_again_and_again_is_told_at_a_bounded_rate(home: Home) -> None:
    """For ten days it is there in every other pass; then it is over."""
    box = Inbox()
    for minutes in range(0, 10 * 24 * 60, 5):
        run(home, NOON + minutes * MINUTE, [alert("disk")] if minutes % 10 == 0 else [], box)
    counted = {word: sum(one.startswith(word) for one in box.titles()) for word in ("alert", "over", "still open")}
    assert counted == {"alert": 3, "over": 2, "still open": 9}
    assert "It opened 3 times within a day: it is over after 6 hours without it." in box.got[4].body
    told = len(box.got) + 1  # one more reminder is due
    end = NOON + 10 * DAY
    for minutes in range(0, 5 * 60, 5):
        run(home, end + minutes * MINUTE, [], box)
    assert len(box.got) == told and [one.entry.alert.key for one in alerts.read(home)] == ["disk"]
    run(home, end + 7 * HOUR, [], box)
    assert box.titles()[told:] == ["over: disk"] and alerts.read(home) == []
    run(home, end + 3 * DAY, [], box)
    assert json.loads(alerts.path(home).read_text()) == {}


def test_slow_flapping_is_bounded_too_and_other_alerts_are_not_held_back(home: Home) -> None:
    box = Inbox()
    for hour in range(0, 10 * 24):
        found = [alert("disk")] if hour % 7 == 0 else []
        run(home, NOON + hour * HOUR, [*found, alert("held", "b")] if hour == 5 else found, box)
    openings = [one for one in box.titles() if one == "alert: disk"]
    assert len(openings) <= 3 + 10 * 24 // 6
    assert box.titles().count("alert: held: b") == box.titles().count("over: held: b") == 1


def test_a_record_of_an_earlier_version_is_read(home: Home) -> None:
    run(home, NOON, [alert("disk")], Inbox())
    rows = json.loads(alerts.path(home).read_text())
    for row in rows.values():
        del row["opened"], row["quiet_since"]
    alerts.path(home).write_text(json.dumps(rows))
    assert [one.entry.alert.key for one in alerts.read(home)] == ["disk"]
