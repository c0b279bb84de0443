"""Messages to real servers; addresses that are wrong or down; and no secret anywhere."""

import email
import logging
import socket
import sys
import threading
from email import policy
from pathlib import Path

import pytest

from operations import notify
from operations.notify import Message, Service
from tests.unit.operations.receivers import dripping, mail, web

MESSAGE = Message("Clearwell alert: stale: orders", "orders is late\nNext: clearwell heal --to DATE")
SECRET = "s3cretT0kenThatNobodyMaySee"
WAIT_SECONDS = 60


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    from apprise.plugins.email.base import NotifyEmail

    monkeypatch.setattr(notify, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(NotifyEmail, "request_rate_per_sec", 0)


def send(address: str) -> str:
    (_, endpoint) = notify.endpoints(lambda _: None, {"CLEARWELL_ALERTS": address})
    return endpoint.send(MESSAGE)


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_a_slack_compatible_webhook_gets_the_text() -> None:
    with web() as server:
        assert send(f"mmost://127.0.0.1:{server.port}/{SECRET}") == ""
        (path, body) = server.got[0]
    assert path == f"/hooks/{SECRET}"
    assert MESSAGE.title in body["text"] and "clearwell heal --to DATE" in body["text"]


def test_any_webhook_gets_json() -> None:
    with web() as server:
        assert send(f"json://127.0.0.1:{server.port}/alerts") == ""
        (path, body) = server.got[0]
    assert (path, body["title"], body["message"]) == ("/alerts", MESSAGE.title, MESSAGE.body)


@pytest.mark.parametrize("login", ["", f"me:{SECRET}@"])
def test_mail_is_sent_with_and_without_a_login(login: str) -> None:
    with mail() as server:
        address = f"mailto://{login}127.0.0.1:{server.port}?from=clearwell@example.com&to=ops@example.com&mode=insecure"
        assert send(address) == ""
        letter = email.message_from_string(server.letters[0], policy=policy.default)
    assert letter["Subject"] == MESSAGE.title and "ops@example.com" in letter["To"]
    body = letter.get_body(("plain", "html"))
    assert body and "clearwell heal --to DATE" in body.get_content()
    assert server.logins == bool(login)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("<!channel>", "< !channel>"),
        ("<!subteam^S012|ops>", "< !subteam^S012|ops>"),
        ("<@U012AB3CD>", "< @U012AB3CD>"),
        ("<#C012AB3CD>", "< #C012AB3CD>"),
        ("@here", "@ here"),
        ("(@All)", "(@ All)"),
        ("@channel @everyone", "@ channel @ everyone"),
        ("[Next](https://evil.example.com)", "[Next] (https://evil.example.com)"),
        ("me@all.example.com @shop-team <b> a[0] @allowance", None),
    ],
)
def test_a_name_calls_nobody_and_hides_no_link(name: str, sent: str | None) -> None:
    with web() as server:
        (_, endpoint) = notify.endpoints(print, {"CLEARWELL_ALERTS": f"mmost://127.0.0.1:{server.port}/{SECRET}"})
        assert endpoint.send(Message(f"Clearwell alert: {name}", f"{name} is late")) == ""
        (text,) = server.texts()
    assert text.splitlines() == [f"Clearwell alert: {sent or name}", f"{sent or name} is late"]


@pytest.mark.parametrize(("said", "parts"), [("", 3), ("?overflow=upstream", 1)])
def test_a_message_that_a_service_would_refuse_for_its_length_is_sent_in_parts(said: str, parts: int) -> None:
    """Mattermost takes 4,000 characters, Discord 2,000: one that is refused is refused again in each pass."""
    rows = [f"- row {number} {'x' * 380}" for number in range(22)]
    with web() as server:
        (_, endpoint) = notify.endpoints(print, {"CLEARWELL_ALERTS": f"mmost://127.0.0.1:{server.port}/{SECRET}{said}"})
        assert endpoint.send(Message("Clearwell alert: disk", "\n".join([*rows, "Next: clearwell maintain"]))) == ""
        texts = server.texts()
    assert len(texts) == parts and (parts == 1 or max(map(len, texts)) <= 4000)
    assert "Next: clearwell maintain" in texts[-1] and all(row in "\n".join(texts) for row in rows)


def test_without_apprise_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    assert send(f"json://127.0.0.1:9/{SECRET}") == "it failed with ModuleNotFoundError"


def test_the_log_gets_one_line() -> None:
    lines: list[str] = []
    (log,) = notify.endpoints(lines.append, {})
    assert log.send(MESSAGE) == "" and len(lines) == 1 and "\n" not in lines[0] and MESSAGE.title in lines[0]


def test_a_server_that_fails_is_tried_three_times_and_then_told() -> None:
    tries: list[int] = []

    class Count(list):
        def append(self, item: object) -> None:
            tries.append(1)

    with web() as server:
        server.status = 500
        server.got = Count()
        why = send(f"json://127.0.0.1:{server.port}/x")
    assert why == "it answered with status 500"
    with web() as server:
        server.got = Count()
        assert send(f"json://127.0.0.1:{server.port}/x") == ""
    assert tries == [1]


def test_one_that_does_not_answer_and_one_that_cannot_be_read() -> None:
    assert send(f"json://127.0.0.1:{closed_port()}/x") == "it does not answer, or refuses the message"
    assert send("nothing://like/this") == "no service of Apprise has such an address"
    assert send(SECRET) == "no service of Apprise has such an address"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_no_success(status: int) -> None:
    """An address that has moved answers a GET with 200, and the message is nowhere."""
    with web() as server:
        server.status = status
        assert send(f"json://127.0.0.1:{server.port}/x") == f"it answered with status {status}"
        assert send(f"mmost://127.0.0.1:{server.port}/{SECRET}") == f"it answered with status {status}"
        assert server.got == []


def test_a_server_that_never_ends_its_answer_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "_MOST_SECONDS", 0.5)
    before = set(threading.enumerate())
    why = "it takes more than 0.5 seconds"
    with dripping(b"HTTP/1.1 200 OK\r\nX: ") as port:
        assert send(f"json://127.0.0.1:{port}/{SECRET}") == why
        assert notify.ping({"CLEARWELL_WATCH_PING_URL": f"http://127.0.0.1:{port}/{SECRET}"}) == why
    with dripping(b"220-") as port:
        assert send(f"mailto://127.0.0.1:{port}?from=a@example.com&to=b@example.com&mode=insecure") == why
    # what is left behind holds the loggers until it ends: pytest would attach its own handler to them in the next test
    for one in set(threading.enumerate()) - before:
        one.join(WAIT_SECONDS)
        assert not one.is_alive()


def test_endpoints_are_named_by_place_and_told_apart_by_a_digest() -> None:
    text = f"json://a.example.com/{SECRET}\n  mailto://u:{SECRET}@example.com json://a.example.com/{SECRET} {SECRET}"
    found = notify.endpoints(lambda _: None, {"CLEARWELL_ALERTS": text})
    assert [one.name for one in found] == ["log", "endpoint 1 (json)", "endpoint 2 (mailto)", "endpoint 3 (unreadable)"]
    assert len({one.id for one in found}) == 4
    assert SECRET not in repr(found) + "".join(one.id + one.name for one in found)


@pytest.mark.parametrize(
    "address",
    [
        "json://user:{secret}@127.0.0.1:{port}/{secret}?+X-Key={secret}",
        "mmost://127.0.0.1:{port}/{secret}",
        "mailto://me:{secret}@127.0.0.1:{port}?from=a@example.com&to=b@example.com&cto=0.2",
        "{secret}",
    ],
)
@pytest.mark.parametrize("is_up", [True, False])
def test_no_secret_is_logged_printed_or_returned(
    address: str, is_up: bool, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Apprise logs the address of what fails, at its lower levels; whoever sets these must not get it."""
    caplog.set_level(logging.DEBUG)
    with web() as server:
        server.status = 403
        port = server.port if is_up else closed_port()
        why = send(address.format(secret=SECRET, port=port))
    printed = capfd.readouterr()
    assert why
    assert SECRET not in why + caplog.text + printed.out + printed.err


def test_one_that_is_left_behind_and_ends_late_lets_no_secret_out(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that takes too long is still being sent while the next one is."""
    client = logging.getLogger("urllib3.connectionpool")
    is_sending, may_end, is_second_sending, second_may_log = (threading.Event() for _ in range(4))

    def read(address: str) -> None:
        if address == "json://slow":
            is_sending.set()
            may_end.wait(WAIT_SECONDS)
        else:
            is_second_sending.set()
            second_may_log.wait(WAIT_SECONDS)
            client.warning("POST /%s error=403", address)

    monkeypatch.setattr(notify, "_read", read)
    caplog.set_level(logging.DEBUG)
    # a process whose lineage events could not be sent hears nothing of it any more
    caplog.set_level(logging.DEBUG, logger=client.name)
    slow = threading.Thread(target=send, args=["json://slow"])
    slow.start()
    assert is_sending.wait(WAIT_SECONDS)
    second = threading.Thread(target=send, args=[f"json://{SECRET}"])
    second.start()
    assert is_second_sending.wait(WAIT_SECONDS)
    may_end.set()
    slow.join(WAIT_SECONDS)
    second_may_log.set()
    second.join(WAIT_SECONDS)
    assert not slow.is_alive() and not second.is_alive()
    assert SECRET not in caplog.text
    client.warning("heard again")
    assert "heard again" in caplog.text


def test_a_plug_in_that_breaks_is_a_reason_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(address: str) -> None:
        raise RuntimeError(address)

    monkeypatch.setattr(notify, "_read", broken)
    assert Service("1", "endpoint 1", SECRET).send(MESSAGE) == "it failed with RuntimeError"


def test_the_switch_is_opened(capfd: pytest.CaptureFixture[str]) -> None:
    with web() as server:
        assert notify.ping({"CLEARWELL_WATCH_PING_URL": f"http://127.0.0.1:{server.port}/{SECRET}"}) == ""
        assert server.got == [(f"/{SECRET}", None)]
        server.status = 404
        why = notify.ping({"CLEARWELL_WATCH_PING_URL": f"http://127.0.0.1:{server.port}/{SECRET}"})
        assert why == "it answered with status 404"
    assert (
        notify.ping({"CLEARWELL_WATCH_PING_URL": f"http://127.0.0.1:{closed_port()}/{SECRET}"}) == "it does not answer"
    )
    assert notify.ping({}) == ""
    printed = capfd.readouterr()
    assert SECRET not in printed.out + printed.err


def test_a_switch_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "switch").write_text("")
    assert "is not an address" in notify.ping({"CLEARWELL_WATCH_PING_URL": f"file://{tmp_path}/switch"})
