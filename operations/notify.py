"""Send messages to people: by webhook, by e-mail, and to the log. One interface for the watchdog and for Airflow.

CLEARWELL_ALERTS lists the endpoints, as addresses of Apprise (https://github.com/caronc/apprise) with spaces or new lines between
them. An address holds secrets: no message, error, log or file has any part of one. An endpoint is named by its place and service.
"""

import hashlib
import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol
from urllib.request import Request, urlopen

from ingestion.land import Report
from operations.output import escaped

VARIABLE = "CLEARWELL_ALERTS"
PING_VARIABLE = "CLEARWELL_WATCH_PING_URL"
LOG = "log"
# Apprise tries again this often, after a pause; an address may say otherwise, as `?retry=5&wait=10`.
_RETRIES, _PAUSE_SECONDS = 2, 2.0
_PING_TRIES, _PING_SECONDS = 3, 10.0
# Limits of a connection are per answer: a server that sends a byte now and then would hold a pass for ever.
_MOST_SECONDS = 60.0
_STATUS = re.compile(r"\berror=(\d{3})\b")
# What chat services take for a call to everybody, a person or a channel, or for a link with words of its own. A name in a message may be anybody's.
_CALLS = re.compile(r"(?<!\w)@(?=(?:all|channel|everyone|group|here)\b)|<(?=[!@#])|\](?=\()", re.IGNORECASE)


@dataclass(frozen=True)
class Message:
    """What people are told: a title, a text, and whether it says that something is over."""

    title: str
    body: str
    is_over: bool = False
    is_urgent: bool = True


class Endpoint(Protocol):
    """Something that takes messages. `id` tells endpoints apart over time and reveals nothing; `name` is for people."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    def send(self, message: Message) -> str:
        """Send a message; return why it was not taken, empty if it was. Never raises."""
        ...


@dataclass(frozen=True)
class Log:
    """Write each message as one line, structured, wherever reports go: the journal, the task's log, or a terminal."""

    report: Report
    id: str = LOG
    name: str = LOG

    def send(self, message: Message) -> str:
        """Write the line."""
        self.report(escaped(json.dumps({"alert": asdict(message)}, ensure_ascii=False)))
        return ""


@dataclass(frozen=True)
class Service:
    """An endpoint of Apprise: its address is kept out of the repr, and so out of tracebacks."""

    id: str
    name: str
    address: str = field(repr=False)

    def send(self, message: Message) -> str:
        """Send the message, with retries. What Apprise logs is not shown: it may name the address.

        A message that is longer than the service takes is sent in parts, unless the address says otherwise by `overflow`.
        """
        return _in_time(lambda: self._send(message))

    def _send(self, message: Message) -> str:
        with _kept.lines() as logged:
            try:
                import apprise

                service = _read(self.address)
                if service is None:
                    return "no service of Apprise has such an address"
                if "overflow_mode" not in vars(service):
                    service.overflow_mode = apprise.OverflowMode.SPLIT
                kind = apprise.NotifyType.SUCCESS if message.is_over else apprise.NotifyType.FAILURE
                sender = apprise.Apprise(asset=_asset())
                sender.add(service)
                title, body = (_CALLS.sub(r"\g<0> ", one) for one in (message.title, message.body))
                is_sent = sender.notify(title=title, body=body, notify_type=kind, body_format="text")
            except Exception as error:  # a plug-in may fail in any way, and the other endpoints must get the message
                return f"it failed with {type(error).__name__}"
        if is_sent:
            return ""
        status = next((found[1] for line in logged if (found := _STATUS.search(line))), "")
        return f"it answered with status {status}" if status else "it does not answer, or refuses the message"


def endpoints(report: Report, env: Mapping[str, str] = os.environ) -> list[Endpoint]:
    """Return the log, and what CLEARWELL_ALERTS lists. An address that cannot be read is an endpoint that never answers."""
    found: list[Endpoint] = [Log(report)]
    addresses = dict.fromkeys(env.get(VARIABLE, "").split())
    for place, address in enumerate(addresses, 1):
        digest = hashlib.sha256(address.encode()).hexdigest()[:8]
        found.append(Service(digest, f"endpoint {place} ({_kind(address)})", address))
    return found


def ping(env: Mapping[str, str] = os.environ) -> str:
    """Tell a dead man's switch that a whole pass has ended; return why that failed, empty if it did not or none is set."""
    address = env.get(PING_VARIABLE, "").strip()
    if not address:
        return ""
    if not address.startswith(("https://", "http://")):
        return f"{PING_VARIABLE} is not an address that starts with https:// or http://"
    return _in_time(lambda: _open(address))


def _open(address: str) -> str:
    why = ""
    for _ in range(_PING_TRIES):
        try:
            with urlopen(Request(address, headers={"User-Agent": "clearwell"}), timeout=_PING_SECONDS) as answer:
                answer.read(1)
            return ""
        except Exception as error:  # of any kind: a pass must not end by it, and its text may hold the address
            status = getattr(error, "code", "")
            why = f"it answered with status {status}" if status else "it does not answer"
    return why


def _in_time(send: Callable[[], str]) -> str:
    """Return what a function says, or that it takes too long; then it is left behind, and ends with the process at the latest."""
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(send()), daemon=True)
    thread.start()
    thread.join(_MOST_SECONDS)
    return said[0] if said else f"it takes more than {_MOST_SECONDS:g} seconds"


def _kind(address: str) -> str:
    """Name the service of an address: by its scheme, which holds no secret, if it is one that Apprise knows."""
    scheme = address.partition("://")[0].lower()
    return scheme if "://" in address and re.fullmatch(r"[a-z][a-z0-9+]{0,15}", scheme) else "unreadable"


def _asset() -> Any:
    import apprise

    return apprise.AppriseAsset(
        app_id="Clearwell",
        app_desc="Clearwell",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        async_mode=False,
        # after most redirects a message is asked for and not sent, and the answer would be taken for success
        http_redirects=False,
        default_service_retry=_RETRIES,
        default_service_wait=_PAUSE_SECONDS,
    )


def _read(address: str) -> Any:
    import apprise

    return apprise.Apprise.instantiate(address, asset=_asset(), suppress_exceptions=True)


class _Kept(logging.Handler):
    """What Apprise and its clients log while messages are sent, kept from every other log.

    Loggers belong to the whole process, and a thread left behind by `_in_time` still sends when others do: the first
    takes the loggers over, and only the last gives them back. Apprise logs from threads of its own, so a line is taken
    for the message whose sending began last.
    """

    _NAMES = ("apprise", "urllib3", "requests")

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._open: list[list[str]] = []
        self._before: list[tuple[logging.Logger, bool, list[logging.Handler], int]] = []
        self._switching = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        for lines in self._open[-1:]:
            lines.append(record.getMessage())

    @contextmanager
    def lines(self) -> Iterator[list[str]]:
        """Return the list that lines are added to."""
        lines: list[str] = []
        with self._switching:
            if not self._open:
                self._take_over()
            self._open.append(lines)
        try:
            yield lines
        finally:
            with self._switching:
                self._open = [one for one in self._open if one is not lines]
                if not self._open:
                    self._give_back()

    def _take_over(self) -> None:
        loggers = [logging.getLogger(name) for name in self._NAMES]
        self._before = [(one, one.propagate, one.handlers, one.level) for one in loggers]
        for one in loggers:
            one.propagate, one.handlers = False, [self]
            one.setLevel(logging.WARNING)

    def _give_back(self) -> None:
        for one, propagate, handlers, level in self._before:
            one.propagate, one.handlers = propagate, handlers
            one.setLevel(level)


_kept = _Kept()
