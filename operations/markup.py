"""The parts of our HTML pages: one way of writing tables, bars, tiles and sections, so that all pages look and read alike.

Everything that may be data is escaped here. A page loads nothing from elsewhere: its style and scripts are in it.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import Any

from ingestion import atomic
from operations.output import escaped

ASSETS = Path(__file__).parent / "assets"
FATES = ("current", "superseded", "duplicate", "dead_letter", "withdrawn")
_FATE_NAMES = {"dead_letter": "dead letter"}
# Written where there is no number.
MISSING = "\N{EN DASH}"
# A text of so few characters stays on one line: a date, a name.
_SHORT = 26
# Datasets of Clearwell's own, not of a source.
OURS = ("decisions", "source_counts")


@dataclass(frozen=True)
class Bar:
    """One bar of a chart: its label, its size, the size as text, and a note beside it.

    A bar with a `mark` is hatched, and says it: its number is not the whole one. Without a size nothing is drawn, not even 0.
    """

    label: str
    size: float | None
    written: str
    note: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Tile:
    """One number at a glance. `mood` is good, bad or nothing; it is also said in words, for those who see no colors."""

    name: str
    value: str
    note: str = ""
    mood: str = ""
    link: str = ""


def document(title: str, body: str, *, style: str = "", scripts: Sequence[str] = (), has_forms: bool = False) -> str:
    """Return a whole page. Only these scripts run in it, it can load nothing, and its forms go to its own server alone."""
    allowed = " ".join(f"'sha256-{_sha256(one)}'" for one in scripts) or "'none'"
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}; base-uri 'none'; "
    policy += "form-action 'self'" if has_forms else "form-action 'none'"
    run = "".join(f"<script>{one}</script>\n" for one in scripts)
    return _PAGE.format(title=safe(title), policy=policy, style=read_asset("page.css") + style, body=body, scripts=run)


def read_asset(name: str) -> str:
    """Read a file of `assets/`."""
    return (ASSETS / name).read_text(encoding="utf-8")


def write(path: Path, text: str) -> None:
    """Write a page, whole or not at all."""
    atomic.write(path, text)


def section(title: str, says: str, body: str, table: str = "", anchor: str = "") -> str:
    """Return a section with its heading, what it says, and the table that it is about."""
    place = f' id="{safe(anchor)}" aria-labelledby="{safe(anchor)}-title"' if anchor else ""
    named = f' id="{safe(anchor)}-title"' if anchor else ""
    about = f" {code(table)}" if table else ""
    return f"<section{place}><h2{named}>{safe(title)}</h2><p>{safe(says)}{about}</p>{body}</section>"


def tiles(found: Iterable[Tile]) -> str:
    """Return numbers side by side."""
    return f'<div class="tiles">{"".join(map(_tile, found))}</div>'


def _tile(one: Tile) -> str:
    name = f'<a href="#{safe(one.link)}">{safe(one.name)}</a>' if one.link else safe(one.name)
    kind = f"tile {one.mood}".strip()
    return f'<div class="{kind}"><b>{safe(one.value)}</b><span>{name}</span><small>{safe(one.note)}</small></div>'


def bars(found: Iterable[Bar], caption: str = "") -> str:
    """Return bars that share one scale from 0, each with its number."""
    listed = list(found)
    if not listed:
        return NOTHING
    most = max((abs(bar.size or 0) for bar in listed), default=0) or 1
    return f'<table class="bars">{_caption(caption)}{"".join(_bar(one, most) for one in listed)}</table>'


def _bar(bar: Bar, most: float) -> str:
    kind = "below" if (bar.size or 0) < 0 else "above"
    drawn = (
        ""
        if bar.size is None
        else f'<i class="{kind}{" part" if bar.mark else ""}" style="width:{100 * abs(bar.size) / most:.2f}%"></i>'
    )
    mark = f' <small class="mark">{safe(bar.mark)}</small>' if bar.mark else ""
    return (
        f'<tr><th scope="row">{safe(bar.label)}{mark}</th><td class="bar">{drawn}</td>'
        f'<td class="number">{safe(bar.written)}</td><td class="note">{safe(bar.note)}</td></tr>'
    )


def fates(rows: Sequence[Mapping[str, Any]], caption: str = "") -> str:
    """Return one full bar per dataset, divided by fate, and the numbers below, since small parts cannot be seen."""
    legend = "".join(f'<span><i class="{fate}"></i>{fate_name(fate)}</span>' for fate in FATES)
    drawn = "".join(
        f'<tr><th scope="row">{safe(row["dataset"])}</th><td class="bar whole">'
        + "".join(
            f'<i class="{fate}" style="width:{100 * row[fate] / max(row["bronze"], 1):.3f}%" title="{row[fate]:,} {fate_name(fate)}"></i>'
            for fate in FATES
        )
        + "</td></tr>"
        for row in rows
    )
    numbers = table(
        ("Dataset", "Records", *(fate_name(fate).capitalize() for fate in FATES), "Difference"),
        [
            (row["dataset"], f"{row['bronze']:,}", *(f"{row[fate]:,}" for fate in FATES), f"{row['difference']:,}")
            for row in rows
        ],
        caption=caption,
    )
    return f'<p class="legend">{legend}</p><table class="bars" aria-hidden="true">{drawn}</table>{numbers}'


def fate_name(name: str) -> str:
    """Return a fate as people write it."""
    return _FATE_NAMES.get(name, name)


def table(
    names: Sequence[str], rows: Sequence[Sequence[Any]], numbers: Sequence[int] | None = None, caption: str = ""
) -> str:
    """Write a table; columns from the second on are numbers, unless `numbers` says which are. The first names the row.

    It scrolls within itself where the page is narrow, also with the keyboard. A `Code` is something to type.
    """
    if not rows:
        return NOTHING
    right = range(1, len(names)) if numbers is None else numbers
    classes = [' class="number"' if place in right else "" for place in range(len(names))]
    head = "".join(f'<th scope="col"{kind}>{safe(name)}</th>' for kind, name in zip(classes, names, strict=True))
    body = "".join("<tr>" + "".join(map(_cell, range(len(names)), classes, row)) + "</tr>" for row in rows)
    label = f' role="region" aria-label="{safe(caption)}"' if caption else ""
    return (
        f'<div class="wide" tabindex="0"{label}><table class="list">{_caption(caption)}'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(place: int, kind: str, value: Any) -> str:
    text = code(value) if isinstance(value, Code) else value.html if isinstance(value, Links) else safe(value)
    kind = kind or (' class="short"' if len(str(value)) <= _SHORT else "")
    return f'<th scope="row"{kind}>{text}</th>' if place == 0 else f"<td{kind}>{text}</td>"


@dataclass(frozen=True)
class Links:
    """Links side by side: the address and the words of each."""

    to: tuple[tuple[str, str], ...]

    @property
    def html(self) -> str:
        return " ".join(f'<a href="{safe(address)}">{safe(words)}</a>' for address, words in self.to)

    def __str__(self) -> str:
        return " ".join(words for _, words in self.to)


class Code(str):
    """A text to type, or the name of something that can be typed."""


def code(text: str) -> str:
    """Write something that can be typed."""
    return f"<code>{safe(text)}</code>"


def _caption(text: str) -> str:
    return f'<caption class="unseen">{safe(text)}</caption>' if text else ""


def safe(text: Any) -> str:
    """Escape data for the page: it is not read as markup, and does not change the direction of writing."""
    return escape(escaped(str(text)))


def number(amount: Decimal | float | None) -> float:
    """Return an amount as the size of a bar; nothing is 0."""
    return float(amount or 0)


def dollars(amount: Decimal | float | None) -> str:
    """Write an amount in whole dollars."""
    return "unknown" if amount is None else f"${amount:,.0f}" if amount >= 0 else f"-${-amount:,.0f}"


def money(amount: Decimal, currency: str) -> str:
    """Write an amount with the usual decimals of the currency."""
    return f"{amount:,.0f}" if currency in ("JPY", "KRW") else f"{amount:,.2f}"


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


NOTHING = '<p class="nothing">None.</p>'
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
{scripts}</body>
</html>
"""
