"""The control room: one page that says at a glance whether everything is fresh, complete and balanced, and what to type if not.

It works offline and without JavaScript; with it, a year of each number is drawn.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from shlex import quote
from typing import Any

from ingestion.errors import ClearwellError
from ingestion.home import Home
from ingestion.land import Report
from operations import actions, control_room_facts, flow, markup
from operations.actions import Desk
from operations.control_room_facts import LISTED, YEAR, Day, Finding, Room
from operations.markup import (
    FATES,
    MISSING,
    Bar,
    Code,
    Tile,
    bars,
    code,
    dollars,
    fate_name,
    fates,
    safe,
    section,
    table,
    tiles,
)

NAME = "control-room.html"
# Dates of a chart that are also written beneath it, without opening more.
_WRITTEN = 14
# The lines of a chart that has one per dataset or source.
_LINES = 8
# The hatched ranges that are named, the last ones.
_MARKS = 5
# The builds and models of which the time per model is listed.
_BUILDS, _MODELS = 5, 20
# The datasets that an answer names, and of how many characters.
_NAMED, _NAMED_LENGTH = 4, 48
_STAGES = ("plan", "transform", "audit", "apply", "publish")


def write(home: Home, now: datetime, path: Path | None = None) -> Path:
    """Write the page, whole or not at all, as `control-room.html` in the home or as another file; return its path."""
    path = path or home.root / NAME
    markup.write(path, render(control_room_facts.read(home, now)))
    return path


@contextmanager
def rewritten(home: Home, clock: Callable[[], datetime], report: Report) -> Iterator[None]:
    """Write the page again once a build has ended, whether it published, had nothing to do, or failed."""
    try:
        yield
    except Exception:
        rewrite(home, clock(), report)
        raise
    rewrite(home, clock(), report)


def rewrite(home: Home, now: datetime, report: Report) -> None:
    """Write the page again, if anything is published. No build fails because of it: what goes wrong is reported."""
    try:
        if home.published.exists():
            write(home, now)
    except Exception as error:
        told = (
            str(error) if isinstance(error, ClearwellError) else f"{type(error).__name__}. Next: clearwell control-room"
        )
        report(f"the control room was not written: {told}")


def render(room: Room, desk: Desk | None = None) -> str:
    """Return the page as HTML; with a desk, a person can act from it."""
    parts = [
        ("glance", "At a glance", _glance(room)),
        *([("actions", "Actions", actions.section(desk, room))] if desk else []),
        ("flow", "Flow", _flow(room)),
        ("gold", "What came out", _gold(room)),
        ("time", "Lag, throughput, errors", _over_time(room)),
        ("findings", "Findings", _findings(room)),
        ("unusual", "Unusual numbers", _unusual(room, desk)),
        ("dead-letters", "Dead letters", _dead_letters(room, desk)),
        ("held", "Held", _held(room, desk)),
        ("restatements", "Restatements", _restatements(room)),
        ("builds", "Builds", _builds(room)),
        ("ledger", "Ledger", _ledger(room)),
    ]
    links = "".join(f'<li><a href="#{anchor}">{name}</a></li>' for anchor, name, _ in parts)
    body = (
        f'<a class="skip" href="#main">Skip to the content</a>{_head(room)}'
        f'<nav aria-label="Parts of this page"><ul>{links}</ul></nav>'
        f'<main id="main">{"".join(part for _, _, part in parts)}</main>'
        f"<footer><p>Written from the published file and its ops tables. {code('clearwell status')} also looks at files, "
        f"windows that are missing, and batches that wait; {code('clearwell control-room')} writes this page again. "
        f'<a href="models.html">models.html</a> documents every table and what it is made of; {code("clearwell docs")} writes it.</p></footer>'
        f'<script type="application/json" id="series">{_as_json(_series(room))}</script>'
    )
    style = markup.read_asset("uplot/uPlot.min.css") + markup.read_asset("control_room.css")
    scripts = [markup.read_asset("uplot/uPlot.iife.min.js"), markup.read_asset("control_room.js")]
    return markup.document("Clearwell: control room", body, style=style, scripts=scripts, has_forms=desk is not None)


def _head(room: Room) -> str:
    newest = room.tables["builds"][0] if room.tables["builds"] else None
    told = f"Readers see build {code(newest['build_id'])}, audited {_time(newest['audited_at'])}. " if newest else ""
    at = room.at.astimezone(UTC)
    told += f'This page was written <time id="written" datetime="{at:%Y-%m-%dT%H:%M:%SZ}">{_time(at)}</time><span id="age"></span>.'
    banners = [
        '<p class="banner" id="old" hidden>This page is more than a day old. Builds write it again, so they may have stopped: '
        f"type {code('clearwell status')}.</p>"
    ]
    if room.pin:
        banners.append(
            f'<p class="banner">Readers see an older state: build {code(room.pin.build_id)} is pinned, by {safe(room.pin.pinned_by)} '
            f"since {safe(room.pin.pinned_at[:16])}: {safe(room.pin.reason)}. Next: {code('clearwell builds unpin')}</p>"
        )
    if room.refused_build:
        banners.append(
            f'<p class="banner">Build {code(room.refused_build)} was refused, so nothing newer is published. '
            f"Next: {code(f'clearwell builds show {room.refused_build}')}</p>"
        )
    return f"<header><h1>Control room</h1><p>{told} All times are UTC.</p>{''.join(banners)}</header>"


def _glance(room: Room) -> str:
    rows = room.tables["completeness"]
    ledger = room.tables["ledger"]
    holes = [row["dataset"] for row in rows if row["holes"] or row["short_windows"]]
    unreconciled = sum(len(row["unreconciled_dates"] or ()) for row in rows)
    off = [row["dataset"] for row in ledger if row["difference"] or row["counted_by_source"] != row["bronze"]]
    off += [row["dataset"] for row in (*room.tables["money"], *room.tables["unbalanced"])]
    failing = len([one for one in room.findings if _is_failing(one.result, one.consequence)])
    if found := room.tables["findings"]:  # not all of them are listed
        failing += found[0]["failing"] - len([row for row in found if _is_failing(row["result"], row["consequence"])])
    held = _of_all(room.tables["held"])
    records, refused = (sum(row[name] for row in ledger) for name in ("bronze", "dead_letter"))
    waiting = [f"{failing:,} failed check{_s(range(failing))}"] if failing else []
    waiting += [f"{held:,} held batch{'es' if held > 1 else ''}"] if held else []
    answers = tiles(
        [
            _answer(
                "Fresh",
                not room.late and bool(rows),
                f"late: {_some(room.late)}" if room.late else "no dataset is late",
                "complete",
            ),
            _answer("Complete", not holes and not held, _complete_says(holes, held), "complete"),
            _answer(
                "Balanced",
                not off,
                f"off: {_some(sorted(set(off)))}" if off else "every record has one fate",
                "ledger",
            ),
            _answer(
                "Reconciled",
                not unreconciled,
                f"{unreconciled} date{_s(range(unreconciled))} off" if unreconciled else "no count of a source differs",
                "complete",
            ),
            Tile(
                "Waiting for a person",
                "✗ Yes" if waiting else "✓ Nothing",
                ", ".join(waiting) or "no failed check, nothing held",
                "bad" if waiting else "good",
                "findings",
            ),
            Tile("Records", f"{records:,}", "from every source", link="flow"),
            Tile("Refused", f"{100 * refused / max(records, 1):.2f} %", f"{refused:,} records", link="dead-letters"),
        ]
    )
    listed = table(
        ("Dataset", "Complete until", "Behind, hours", "Last window", "Holes", "Short windows", "Dates that differ"),
        [
            (
                row["dataset"],
                f"{_time(row['complete_until'])}{' (late)' if row['dataset'] in room.late else ''}",
                _behind(room.at, row["complete_until"]),
                _time(row["latest_window_end"]),
                f"{row['holes']:,}",
                f"{row['short_windows']:,}",
                f"{len(row['unreconciled_dates'] or ()):,}",
            )
            for row in rows
        ],
        numbers=(2, 4, 5, 6),
        caption="How far each dataset is complete",
    )
    todo = (
        _type([("clearwell heal --dry-run", "lists missing windows, and what fills them")])
        if holes or room.late
        else ""
    )
    return section(
        "Is everything fresh, complete and balanced?",
        "Each answer leads to its details.",
        answers,
        anchor="glance",
    ) + section(
        "How far it is complete",
        "Data is complete up to the first window that is missing or short. What is not complete is stale, not zero.",
        listed + todo,
        "ops.completeness",
        "complete",
    )


def _answer(name: str, is_so: bool, note: str, link: str) -> Tile:
    return Tile(name, "✓ Yes" if is_so else "✗ No", note, "good" if is_so else "bad", link)


def _complete_says(holes: Sequence[str], held: int) -> str:
    said = [f"holes: {_some(holes)}"] if holes else []
    said += [f"{held:,} held"] if held else []
    return "; ".join(said) or "no window is missing between others"


def _some(names: Sequence[str]) -> str:
    """Name the first of many, each in few characters, and say how many others there are."""
    said = [name if len(name) <= _NAMED_LENGTH else f"{name[: _NAMED_LENGTH - 1]}…" for name in names[:_NAMED]]
    return ", ".join(said) + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")


def _is_failing(result: str, consequence: str) -> bool:
    return result == "fail" and consequence != "accepted"


def _of_all(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return how many rows there are, listed or not."""
    return int(rows[0]["of_all"]) if rows else 0


def _rest(rows: Sequence[Mapping[str, Any]], command: str) -> str:
    """Say that a list is not whole, and what shows all of it."""
    if len(rows) >= _of_all(rows):
        return ""
    return f"<p>The first {len(rows):,} of {_of_all(rows):,} are listed. All of them: {code(command)}</p>"


def _behind(at: datetime, until: datetime | None) -> str:
    return f"{(at - until.replace(tzinfo=UTC)).total_seconds() / 3600:,.1f}" if until else "never"


def _flow(room: Room) -> str:
    sources = {row["dataset"]: row["source"] for row in room.tables["sources"]}
    held: dict[str, int] = {row["dataset"]: row["records"] for row in room.tables["held_records"]}
    rows = room.tables["ledger"]
    drawn = flow.draw(
        [
            flow.Dataset(
                row["dataset"],
                sources.get(row["dataset"], "decisions"),
                {fate: row[fate] for fate in FATES},
                row["bronze"],
                held.get(row["dataset"], 0),
            )
            for row in rows
        ],
        [flow.Table(row["name"], row["rows"], room.gold.get(row["name"], ())) for row in room.tables["gold"]],
    )
    return section(
        "From the sources to gold",
        "Each record that a source gave has exactly one fate. A line leads from a dataset to the tables that are traced to its records.",
        drawn + fates(rows, "Records by dataset and fate"),
        "ops.ledger",
        "flow",
    )


def _gold(room: Room) -> str:
    shown = [
        _figure(
            "revenue",
            "Net revenue, in dollars",
            "By order date: cancelled orders left out, returns taken off, without tax.",
            room.days["revenue"],
            lambda day: Bar(
                str(day.date),
                day.values["net_usd"],
                MISSING if day.values["net_usd"] is None and day.mark else dollars(day.values["net_usd"]),
                _orders(day),
                day.mark,
            ),
        ),
        _figure(
            "traffic",
            "Events",
            "Clicks by their date.",
            room.days["traffic"],
            lambda day: Bar(str(day.date), day.values["events"], _count(day.values["events"]), "", day.mark),
        ),
        _figure(
            "funnel",
            "Sessions that bought, in per cent",
            "By the date on which a session began; the chart also has carts and checkouts.",
            room.days["funnel"],
            lambda day: Bar(
                str(day.date),
                day.values["purchase"],
                _share(day.values["purchase"]),
                "" if day.values["sessions"] is None else f"of {_count(day.values['sessions'])}",
                day.mark,
            ),
        ),
    ]
    return section(
        "What came out",
        "Hatched dates are not complete, or differ from the source's count; their numbers will still change. A date on which nothing has "
        "landed has no bar, as it is not known to be 0.",
        "".join(shown) + _gold_tables(room),
        "gold",
        "gold",
    )


def _gold_tables(room: Room) -> str:
    listed = table(
        ("Gold table", "Complete until", "Agrees with its sources until", "Made of"),
        [
            (
                row["gold_table"],
                _time(row["complete_until"]),
                _time(row["reconciled_until"]) if row["reconciled_until"] else "not counted",
                ", ".join(row["datasets"]),
            )
            for row in room.tables["gold_completeness"]
        ],
        numbers=(),
        caption="How far each gold table is complete",
    )
    return f"<h3>How far each gold table is complete {code('ops.gold_completeness')}</h3>{listed}"


def _figure(name: str, title: str, says: str, days: Sequence[Day], bar: Callable[[Day], Bar]) -> str:
    if not days:
        return f"<figure><figcaption>{safe(title)}<small>{safe(says)}</small></figcaption>{markup.NOTHING}</figure>"
    listed = [bar(day) for day in reversed(days[-LISTED:])]
    caption = f"{title}, by date, newest first"
    more = (
        f"<details><summary>{len(listed) - _WRITTEN} earlier date{_s(listed[_WRITTEN:])}</summary>{bars(listed[_WRITTEN:], caption)}</details>"
        if len(listed) > _WRITTEN
        else ""
    )
    return (
        f"<figure><figcaption>{safe(title)}<small>{safe(says)}</small></figcaption>{_marked(days)}"
        f'<div class="chart" data-chart="{name}" aria-hidden="true" hidden></div>{bars(listed[:_WRITTEN], caption)}{more}</figure>'
    )


def _marked(days: Sequence[Day]) -> str:
    """Say which dates are hatched: in a chart of a year, a date is narrow."""
    said = [
        f"{mark}: {_date(first)}" + (f" to {_date(last)}" if last != first else "")
        for first, last, mark in _marks(days)[-_MARKS:]
    ]
    return f'<p class="hatched">Hatched: {safe("; ".join(reversed(said)))}</p>' if said else ""


def _date(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def _orders(day: Day) -> str:
    orders, without = day.values["orders"], day.values["lines_without_usd"]
    said = f"{_count(orders)} orders" if orders is not None else ""
    return f"{said}, {without:,.0f} lines without a rate" if without else said


def _over_time(room: Room) -> str:
    parts = [
        (
            "lag",
            "Lag: hours from the end of a window to its landing",
            "The freshest landing of each day, by source; a day that only fills the past is far behind.",
            room.tables["lag"],
        ),
        (
            "throughput",
            "Throughput: records a second",
            "New records by the seconds that a stage took, on days on which it took any.",
            room.tables["throughput"],
        ),
        (
            "errors",
            "Error rate: refused records, in per cent",
            "By the date of the records.",
            room.tables["errors"],
        ),
    ]
    failures = table(
        ("Stage", "Source", "Result", "Runs", "Last"),
        [
            (row["stage"], row["source"], row["result"], f"{row['runs']:,}", _time(row["last"]))
            for row in room.tables["failures"]
        ],
        numbers=(3,),
        caption="Runs that failed in the last 30 days",
    )
    return section(
        "Lag, throughput and error rate",
        "As far back as the log of runs and the ledger go, at most a year.",
        "".join(_lines(*part) for part in parts)
        + f"<h3>Runs that failed in the last 30 days</h3>{failures}"
        + _type([("clearwell metrics", "the same numbers for Prometheus")]),
        "ops.runs",
        "time",
    )


def _lines(name: str, title: str, says: str, rows: Sequence[Mapping[str, Any]]) -> str:
    head = f"<figcaption>{safe(title)}<small>{safe(says)}</small></figcaption>"
    if not rows:
        return f"<figure>{head}{markup.NOTHING}</figure>"
    names, left_out = _names(rows)
    by_day = _by_day(rows)
    newest = sorted(by_day, reverse=True)[:_WRITTEN]
    numbers = table(
        ("Date", *names),
        [(str(day), *(_decimal(by_day[day].get(one)) for one in names)) for day in newest],
        caption=title,
    )
    note = f"<p>Left out, as their numbers are the smallest: {safe(', '.join(left_out))}.</p>" if left_out else ""
    return (
        f'<figure>{head}<div class="chart" data-chart="{name}" aria-hidden="true" hidden></div>'
        f"<details open><summary>{f'The last {len(newest)} dates' if len(newest) > 1 else 'The last date'}</summary>{numbers}{note}</details></figure>"
    )


def _names(rows: Iterable[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """Return the lines of a chart, those with the largest numbers, and what is left out."""
    most: dict[str, float] = {}
    for row in rows:
        most[row["name"]] = max(most.get(row["name"], 0.0), row["value"] or 0.0)
    ordered = sorted(most, key=lambda name: (-most[name], name))
    return ordered[:_LINES], ordered[_LINES:]


def _by_day(rows: Iterable[Mapping[str, Any]]) -> dict[date, dict[str, float]]:
    found: dict[date, dict[str, float]] = {}
    for row in rows:
        if row["value"] is not None:
            found.setdefault(row["day"], {})[row["name"]] = row["value"]
    return found


def _series(room: Room) -> dict[str, Any]:
    """Return the numbers that the charts draw: days in Unix seconds, and the lines with their values."""
    gold = {
        "revenue": {"net_usd": "Net dollars"},
        "traffic": {"events": "Events"},
        "funnel": {"cart": "Cart, %", "checkout": "Checkout, %", "purchase": "Purchase, %"},
    }
    found = {name: _gold_series(room.days[name], lines) for name, lines in gold.items() if room.days[name]}
    for name in ("lag", "throughput", "errors"):
        if rows := room.tables[name]:
            by_day = _by_day(rows)
            days = sorted(by_day)[-YEAR:]
            lines = [
                {"name": one, "values": [_rounded(by_day[day].get(one)) for day in days]} for one in _names(rows)[0]
            ]
            found[name] = {
                "days": [_seconds(day) for day in days],
                "series": [{**one, "partial": [None] * len(days)} for one in lines],
                "marks": [],
                "log": name == "throughput",
            }
    return found


def _gold_series(days: Sequence[Day], lines: Mapping[str, str]) -> dict[str, Any]:
    def values(name: str, *, whole: bool) -> list[float | None]:
        return [_rounded(day.values[name]) if _is_whole(day) is whole else None for day in days]

    return {
        "days": [_seconds(day.date) for day in days],
        "series": [
            {"name": title, "values": values(name, whole=True), "partial": values(name, whole=False)}
            for name, title in lines.items()
        ],
        "marks": _marks(days),
        "log": False,
    }


def _is_whole(day: Day) -> bool:
    return day.mark in ("", "not reconciled")


def _marks(days: Sequence[Day]) -> list[list[Any]]:
    """Return the ranges of days that bear one mark, as first and last day in Unix seconds, and the mark."""
    found: list[list[Any]] = []
    before = ""
    for day in days:
        if day.mark and day.mark == before:
            found[-1][1] = _seconds(day.date)
        elif day.mark:
            found.append([_seconds(day.date), _seconds(day.date), day.mark])
        before = day.mark
    return found


def _findings(room: Room) -> str:
    parts, found = [_finding(one) for one in room.findings], room.tables["findings"]
    return section(
        "Open findings",
        "What the checks of the published build found, failures first, with the first rows. Columns that may hold what a record holds are left out.",
        ("".join(parts) or markup.NOTHING)
        + _rest(found, f"clearwell builds show {found[0]['build_id']}" if found else ""),
        "ops.findings",
        "findings",
    )


def _finding(one: Finding) -> str:
    names = list(dict.fromkeys(name for row in one.rows for name in row))
    rows = table(
        names, [[row.get(name, "") for name in names] for row in one.rows], (), f"First rows of {one.check_name}"
    )
    kind = f'<span class="fail">✗ {safe(one.result)}</span>' if one.result == "fail" else f"! {safe(one.result)}"
    what = f", {safe(one.consequence)}" if one.consequence else ""
    hidden = f"<p>Not shown here: {safe(', '.join(one.hidden))}.</p>" if one.hidden else ""
    message = f"<p>{safe(one.message)}</p>" if one.message else ""
    return (
        f'<div class="finding"><h3>{kind}{what}: {safe(one.check_name)}, {one.failed_rows:,} row{_s(range(one.failed_rows))}</h3>{message}'
        f"{rows if one.rows else ''}{hidden}{_type([(f'clearwell builds show {one.build_id}', 'all rows')])}</div>"
    )


def _unusual(room: Room, desk: Desk | None) -> str:
    rows = room.tables["anomalies"]
    listed = _with_ways(
        desk,
        ("Number", "Value", "Usual", "Distance", "Told"),
        [
            (
                row["anomaly"],
                _decimal(row["value"]),
                _decimal(row["expected"]),
                _decimal(row["score"]),
                "accepted" if row["is_accepted"] else "alert" if row["is_alert"] else "listed",
            )
            for row in rows
        ],
        [
            [("accept", f"anomaly:{row['anomaly']}", "")] if row["is_alert"] and not row["is_accepted"] else []
            for row in rows
        ],
        numbers=(1, 2, 3),
        caption="Unusual numbers, newest first",
    )
    todo = [("clearwell builds accept anomaly:NUMBER --reason TEXT", "once it is understood")] if rows else []
    return section(
        "Unusual numbers",
        "Numbers that lie far from what is usual for their day or hour of the week; the distance is in usual spreads.",
        listed + _rest(rows, 'clearwell sql "from ops.anomalies order by period_start desc"') + _type(todo),
        "ops.anomalies",
        "unusual",
    )


def _with_ways(
    desk: Desk | None,
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    ways: Sequence[Sequence[tuple[str, str, str]]],
    numbers: Sequence[int],
    caption: str,
) -> str:
    """Write a table. If the person may decide, its second column leads to the forms that are about a row."""
    if not (desk and desk.may_decide):
        return table(names, rows, numbers, caption)
    links = [markup.Links(tuple(actions.link(*way) for way in of)) for of in ways]
    listed = [(first, link, *rest) for (first, *rest), link in zip(rows, links, strict=True)]
    return table((names[0], "Decide", *names[1:]), listed, [place + 1 for place in numbers], caption)


def _dead_letters(room: Room, desk: Desk | None) -> str:
    if room.refused is None:
        listed = f"<p>The state could not be read just now: another process changes it. {code('clearwell dead-letters list')}</p>"
    else:
        listed = _with_ways(
            desk,
            ("Dataset", "Reason", "Records", "First date", "Last date", "The way out"),
            [
                (
                    row["dataset"],
                    row["reason"],
                    f"{row['records']:,}",
                    str(row["first_date"] or MISSING),
                    str(row["last_date"] or MISSING),
                    Code(
                        f"clearwell dead-letters show --dataset {quote(row['dataset'])} --reason {quote(row['reason'])}"
                    ),
                )
                for row in room.refused
            ],
            [[("discard", row["reason"], row["dataset"])] for row in room.refused],
            numbers=(2,),
            caption="Dead letters by reason",
        ) + _rest(room.refused, "clearwell dead-letters list")
    ways = [
        ("clearwell dead-letters suggest", "says what would rescue them: a value in a contract, or a correction"),
        ("clearwell dead-letters resubmit FILE --reason TEXT", "lands corrected records"),
        ("clearwell dead-letters discard RECORD --reason TEXT", "takes them out of the open ones"),
    ]
    return section(
        "Dead letters",
        "Records that are refused, by each reason that they have; they are kept unchanged.",
        listed + (_type(ways) if room.refused else ""),
        "silver.dead_letters",
        "dead-letters",
    )


def _held(room: Room, desk: Desk | None) -> str:
    rows = room.tables["held"]
    listed = _with_ways(
        desk,
        ("Dataset", "Batch", "From", "To", "Records", "Refused", "Because of"),
        [
            (
                row["dataset"],
                Code(row["batch_id"]),
                _time(row["window_start"]),
                _time(row["window_end"]),
                f"{row['records']:,}",
                f"{row['refused_records']:,}",
                row["cause"],
            )
            for row in rows
        ],
        [[("accept", f"held:{row['batch_id']}", ""), ("retract", row["batch_id"], "")] for row in rows],
        numbers=(4, 5),
        caption="Held batches",
    )
    ways = [
        ("clearwell ingest SOURCE --from T --to T", "after the source is fixed: land the window again"),
        ("clearwell builds accept held:BATCH --reason TEXT", "lets it in, with what is refused"),
        ("clearwell batches retract BATCH --reason TEXT", "keeps it out"),
    ]
    return section(
        "Held batches",
        "Batches that fail a check, and those that belong to them. They wait for a person, and no other number counts them.",
        listed + _rest(rows, 'clearwell sql "from ops.held where is_open"') + (_type(ways) if rows else ""),
        "ops.held",
        "held",
    )


def _restatements(room: Room) -> str:
    rows = room.tables["restatements"]
    listed = table(
        ("Build", "Gold table", "Rows changed", "Of them late", "First date", "Last date", "Net dollars moved"),
        [
            (
                row["build_id"],
                row["gold_table"],
                f"{row['changed']:,}",
                f"{row['late']:,}",
                str(row["first_date"]),
                str(row["last_date"]),
                MISSING if row["net_usd"] is None else dollars(row["net_usd"]),
            )
            for row in rows
        ],
        numbers=(2, 3, 6),
        caption="Published numbers that the last ten builds changed",
    )
    todo = (
        [
            (
                f"clearwell sql \"from ops.restatements where build_id = '{rows[0]['build_id']}'\"",
                "each number, before and after",
            )
        ]
        if rows
        else []
    )
    return section(
        "Restatements",
        "Numbers that had been published and that one of the last ten builds changed.",
        listed + _rest(rows, 'clearwell sql "from ops.restatements"') + _type(todo),
        "ops.restatements",
        "restatements",
    )


def _builds(room: Room) -> str:
    seconds = {(row["build_id"], row["stage"]): row["seconds"] for row in room.tables["stages"]}
    checks = {row["build_id"]: row for row in room.tables["checks"]}
    listed = table(
        (
            "Build",
            "Audited",
            "Batches in",
            "Out",
            *(f"{stage.capitalize()}, s" for stage in _STAGES),
            "Failed",
            "Warned",
            "Why",
        ),
        [
            (
                row["build_id"],
                _time(row["audited_at"]),
                f"{row['batches_entered']:,}",
                f"{row['batches_left']:,}",
                *(_decimal(seconds.get((row["build_id"], stage))) for stage in _STAGES),
                f"{checks.get(row['build_id'], {}).get('failed', 0):,}",
                f"{checks.get(row['build_id'], {}).get('warned', 0):,}",
                row["reason"] or ("everything again" if row["is_full"] else "new batches"),
            )
            for row in room.tables["builds"]
        ],
        numbers=range(2, 11),
        caption="The last ten builds, newest first, with the seconds of each stage",
    )
    return section(
        "The last builds",
        "With the seconds of each stage, over all attempts. The last stages of the newest build come with the next one.",
        listed
        + _models(room)
        + _type(
            [
                ("clearwell builds list", "all of them"),
                ("clearwell builds restore BUILD --reason TEXT", "gives readers an older one"),
            ]
        ),
        "ops.builds",
        "builds",
    )


def _models(room: Room) -> str:
    """Return the seconds of the slowest models in the last builds whose files are kept."""
    builds = list(room.models)[:_BUILDS]
    most = {name: max(room.models[one].get(name, 0.0) for one in builds) for one in builds for name in room.models[one]}
    slowest = sorted(most, key=lambda name: (-most[name], name))[:_MODELS]
    if not slowest:
        return ""
    listed = table(
        ("Model", *builds),
        [(name, *(_decimal(room.models[one].get(name)) for one in builds)) for name in slowest],
        caption="Seconds of the slowest models, by build, newest first",
    )
    said = f"Seconds of the {len(slowest)} slowest models" if len(most) > len(slowest) else "Seconds of each model"
    newest = f"the last {len(builds)} builds" if len(builds) > 1 else "the last build"
    return f"<details><summary>{said} <small>{len(most):,} models, {newest}</small></summary>{listed}</details>"


def _ledger(room: Room) -> str:
    names = list(dict.fromkeys(row["dataset"] for row in room.tables["dates"]))
    parts = []
    for name in names:
        rows = [row for row in room.tables["dates"] if row["dataset"] == name]
        dates = [row["record_date"] for row in rows if row["record_date"]]
        listed = table(
            (
                "Date",
                "Records",
                *(fate_name(fate).capitalize() for fate in FATES),
                "Off from source",
                "Off in gold",
                "State",
            ),
            [
                (
                    str(row["record_date"] or row["others"]),
                    f"{row['records']:,}",
                    *(f"{row[fate]:,}" for fate in FATES),
                    _count(row["source_difference"]),
                    _count(row["gold_difference"]),
                    "held" if row["is_held"] else "",
                )
                for row in rows
            ],
            numbers=range(1, 9),
            caption=f"Ledger of {name} by date",
        )
        total = sum(row["records"] for row in rows)
        parts.append(
            f"<details><summary>{safe(name)} <small>{total:,} records, {len(dates)} date{_s(dates)} listed</small></summary>"
            f"{_type(_drill(room, name, dates))}{listed}</details>"
        )
    return section(
        "The ledger, by dataset and date",
        f"The last {LISTED} dates of each dataset. The commands name the newest; put any other date in its place.",
        "".join(parts) or markup.NOTHING,
        "ops.ledger",
        "ledger",
    )


def _drill(room: Room, dataset: str, dates: Sequence[date]) -> list[tuple[str, str]]:
    if not dates or not dataset.isidentifier():
        return []
    where = f"dataset = '{dataset}' and record_date = '{dates[0]}'"
    found = [(f'clearwell sql "from ops.ledger where {where}"', "its batches, with their fates and money")]
    if dataset in room.traces:
        found.append((room.traces[dataset].format(date=dates[0]), "from the numbers in gold to their records"))
    return [*found, ("clearwell trace BATCH:RECORD_NO", "from a record to the numbers that it is in")]


def _type(ways: Sequence[tuple[str, str]]) -> str:
    """Return a list of commands to type, each with what it does."""
    if not ways:
        return ""
    return '<ul class="type">' + "".join(f"<li>{code(line)}: {safe(what)}</li>" for line, what in ways) + "</ul>"


def _as_json(value: Any) -> str:
    """Return JSON that cannot end the script that it is in."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c").replace("&", "\\u0026")


def _seconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "never"


def _count(value: float | None) -> str:
    return MISSING if value is None else f"{value:,.0f}"


def _share(value: float | None) -> str:
    return MISSING if value is None else f"{value:.1f} %"


def _decimal(value: float | None) -> str:
    return MISSING if value is None else f"{value:,.2f}"


def _s(many: Sequence[Any]) -> str:
    return "" if len(many) == 1 else "s"
