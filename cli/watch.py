"""Look at what is published, and tell people what is wrong."""

import os
import sys
from typing import Any

import click

from cli.context import clock
from cli.options import json_option
from ingestion.home import Home
from operations import alerts, notify, watch
from operations.alerts import Outcome
from operations.notify import Message
from operations.output import say, show, tell, write_json


@click.command("watch")
@click.option(
    "--test-alert",
    is_flag=True,
    help="Only send a test message to each endpoint, say which of them took it, and tell the others of one that did not.",
)
@click.option(
    "--over",
    metavar="ALERT",
    help="Only end an alert that no run will end any more, such as task_failed:decide.carry_out, and tell who was told of it.",
)
@json_option
def watch_published(test_alert: bool, over: str | None, as_json: bool) -> None:
    """Look once at what is published, at the disk and at the clock; send alerts; exit 0 if all is well, else 1.

    Run it every five minutes from cron or a systemd timer, outside Airflow: deploy/ has the units. It asks neither Airflow nor
    the sources, so it notices a dead scheduler, a paused DAG, a full disk, and runs that succeed with nothing in them.

    An alert is sent once when it opens, at most once a day while it lasts, and once when it is over. It has an owner, the
    figures, what to type, and a link into the runbook, docs/operating.md. One that another explains is sent with that one.

    \b
    CLEARWELL_ALERTS          where alerts go: addresses of Apprise, separated by spaces, such as
                              https://hooks.slack.com/services/T…/B…/…
                              mmost://chat.example.com/TOKEN (any Slack-compatible webhook at /hooks/TOKEN)
                              mailtos://USER:PASSWORD@example.com?to=ops@example.com
    CLEARWELL_WATCH_PING_URL  a dead man's switch, opened after each whole pass: it tells you
                              when no pass has ended for too long
    CLEARWELL_RUNBOOK         where your people read docs/operating.md, for the links

    Every message is also written to standard error, one line each.
    """
    endpoints = notify.endpoints(lambda line: click.echo(line, err=True))
    if test_alert:
        sys.exit(_test(endpoints, as_json))
    home = Home.from_environment()
    if over:
        alerts.close(home, clock().now, over, endpoints, say)
        return
    outcome = watch.watch(home, clock(), endpoints, say)
    rows = [row for group in outcome.groups for row in _rows(group)]
    if as_json:
        write_json(rows)
    else:
        tell(f"home: {home.root}")
        show(rows, as_json=False, title="open alerts", nothing="all is well")
        for group in outcome.groups:
            say(f"{group.entry.alert.key}. Next: {group.entry.alert.todo}")
    for one in endpoints:
        if why := outcome.failed.get(one.id):
            say(f"alerts do not reach {one.name}: {why}")
    for line in _nobody(endpoints):
        say(line)
    sys.exit(_status(outcome))


def _nobody(endpoints: list[notify.Endpoint]) -> list[str]:
    """Say whom alerts do not reach because a variable is not set: without both, the watchdog may be silent and nobody notices."""
    found = [f"{notify.VARIABLE} is not set: alerts go to the log only"] if len(endpoints) == 1 else []
    if not os.environ.get(notify.PING_VARIABLE, "").strip():
        found.append(f"{notify.PING_VARIABLE} is not set: nobody is told if this watchdog stops")
    return found


def _status(outcome: Outcome) -> int:
    return 1 if outcome.groups or outcome.failed or not outcome.is_recorded else 0


def _rows(group: alerts.Group) -> list[dict[str, Any]]:
    entry = group.entry
    alert = entry.alert
    first = {
        "alert": alert.key,
        "since": entry.since.replace(tzinfo=None),
        "owner": alert.owner,
        "what": alert.what,
        "rows": list(alert.rows),
        "next": alert.todo,
        "runbook": alerts.runbook(alert.kind),
        "explained_by": "",
    }
    return [first] + [
        {**first, "alert": one.key, "owner": one.owner, "what": one.what, "rows": list(one.rows), "next": one.todo}
        | {"runbook": alerts.runbook(one.kind), "explained_by": alert.key}
        for one in group.implied
    ]


def _test(endpoints: list[notify.Endpoint], as_json: bool) -> int:
    """Send the test message, show each answer, and return the exit status."""
    rows: list[dict[str, Any]] = []
    text = "This is a test of clearwell watch. Nothing is wrong."
    message = Message("Clearwell test: alerts reach you", text, is_over=True, is_urgent=False)
    failed: dict[str, str] = {}
    for one in endpoints:
        if why := one.send(message):
            failed[one.id] = why
        rows.append({"endpoint": one.name, "took_it": not why, "why": why})
    if (home := Home.from_environment()).root.is_dir():
        alerts.tested(home, clock().now, failed, endpoints, say)
    show(rows, as_json=as_json, title="endpoints")
    if len(rows) == 1 and not as_json:
        say(f"{notify.VARIABLE} is not set: alerts go to the log only")
    return 0 if all(row["took_it"] for row in rows) else 1
