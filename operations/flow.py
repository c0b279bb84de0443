"""Draw the flow from sources over datasets to gold as SVG: how many records came, and what became of them.

It is 360 units wide, so that a phone shows it as it is; its colors are those of the page.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from operations.markup import FATES, fate_name, safe

_WIDTH = 360
_TOP = 18
# Where the columns begin, and how wide they are: sources, datasets, gold.
_SOURCES, _DATASETS, _GOLD = (0, 78), (96, 138), (254, 106)
_DATASET_HEIGHT, _GOLD_HEIGHT, _GAP = 58, 30, 8
# What is there is to be seen: a part of the bar is at least this wide.
_LEAST = 2.0


@dataclass(frozen=True)
class Dataset:
    """A dataset of the picture: its source, its records by fate, and how many are held, which no fate counts."""

    name: str
    source: str
    fates: Mapping[str, int]
    records: int
    held: int = 0


@dataclass(frozen=True)
class Table:
    """A gold table: its rows, and the datasets whose records its rows are traced to."""

    name: str
    rows: int
    datasets: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Box:
    left: float
    top: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        return self.top + self.height / 2


def draw(datasets: Sequence[Dataset], gold: Sequence[Table]) -> str:
    """Return the picture; empty if there is no dataset."""
    if not datasets:
        return ""
    listed = sorted(datasets, key=lambda one: (one.source, one.name))
    gold = _beside(gold, [one.name for one in listed])
    height = _TOP + max(len(listed) * (_DATASET_HEIGHT + _GAP), len(gold) * (_GOLD_HEIGHT + _GAP))
    boxes = {one.name: _place(_DATASETS, _DATASET_HEIGHT, len(listed), height, n) for n, one in enumerate(listed)}
    tables = {one.name: _place(_GOLD, _GOLD_HEIGHT, len(gold), height, n) for n, one in enumerate(gold)}
    sources = {
        name: _around([boxes[one.name] for one in listed if one.source == name])
        for name in dict.fromkeys(one.source for one in listed)
    }
    parts = [
        *(_line(sources[one.source], boxes[one.name]) for one in listed),
        *(_line(boxes[name], tables[one.name]) for one in gold for name in one.datasets if name in boxes),
        *(_head(column[0], text) for column, text in ((_SOURCES, "Sources"), (_DATASETS, "Datasets"), (_GOLD, "Gold"))),
        *(_source(name, box) for name, box in sources.items()),
        *(_dataset(one, boxes[one.name]) for one in listed),
        *(_table(one, tables[one.name]) for one in gold),
    ]
    return (
        f'<svg class="flow" viewBox="-1 0 {_WIDTH + 2} {height}" role="img" aria-labelledby="flow-name flow-says">'
        f'<title id="flow-name">Records from the sources to gold</title><desc id="flow-says">{safe(_said(listed))}</desc>'
        f"{''.join(parts)}</svg>"
    )


def _beside(gold: Sequence[Table], names: Sequence[str]) -> list[Table]:
    """Order tables so that few lines cross: each beside its datasets, those without any last."""

    def place(one: Table) -> tuple[float, str]:
        places = [names.index(name) for name in one.datasets if name in names]
        return (sum(places) / len(places) if places else len(names), one.name)

    return sorted(gold, key=place)


def _place(column: tuple[int, int], height: int, count: int, whole: float, number: int) -> _Box:
    """Return the box of a column at a place; the boxes of a column share its height evenly."""
    step = (whole - _TOP) / count
    return _Box(column[0], _TOP + number * step + (step - height) / 2, column[1], height)


def _around(boxes: Sequence[_Box]) -> _Box:
    top = min(one.top for one in boxes)
    bottom = max(one.top + one.height for one in boxes)
    return _Box(_SOURCES[0], top, _SOURCES[1], bottom - top)


def _head(left: float, text: str) -> str:
    return f'<text x="{left}" y="11" class="head">{text}</text>'


def _line(start: _Box, end: _Box) -> str:
    """Return a curve from the right side of a box to the left side of another, as level as the two allow."""
    x, y = start.left + start.width, min(max(end.middle, start.top + 6), start.top + start.height - 6)
    bend = (x + end.left) / 2
    return (
        f'<path d="M{x:.1f} {y:.1f}C{bend:.1f} {y:.1f} {bend:.1f} {end.middle:.1f} {end.left:.1f} {end.middle:.1f}"/>'
    )


def _box(box: _Box) -> str:
    return f'<rect x="{box.left:.1f}" y="{box.top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="4"/>'


def _source(name: str, box: _Box) -> str:
    """Return the box of a source, its name in lines that end at an underscore."""
    lines = name.replace("_", "_\n").split("\n")[:4]
    top = box.middle + 4 - 6 * (len(lines) - 1)
    return _box(box) + "".join(
        _text(box.left + 6, top + 12 * number, line, 10, "name") for number, line in enumerate(lines)
    )


def _dataset(one: Dataset, box: _Box) -> str:
    left, top, width = box.left + 7, box.top, box.width - 14
    bad = [f"{one.fates.get('dead_letter', 0):,} refused"] if one.fates.get("dead_letter") else []
    bad += [f"{one.held:,} held"] if one.held else []
    below = " · ".join(bad) or "none refused or held"
    return (
        _box(box)
        + _text(left, top + 14, one.name, 19, "name")
        + _text(left, top + 27, f"{one.records:,} records", 22)
        + _bar(one, left, top + 33, width)
        + _text(left, top + 52, below, 26, "bad" if bad else "")
    )


def _bar(one: Dataset, left: float, top: float, width: float) -> str:
    """Return the records of a dataset as one bar, divided by fate."""
    there = [(fate, one.fates.get(fate, 0)) for fate in FATES if one.fates.get(fate)]
    total = sum(count for _, count in there)
    if not total:
        return ""
    sizes = [max(width * count / total, _LEAST) for _, count in there]
    scale = width / sum(sizes)
    parts, at = [], left
    for (fate, count), size in zip(there, sizes, strict=True):
        parts.append(
            f'<rect class="fate {fate}" x="{at:.2f}" y="{top:.1f}" width="{size * scale:.2f}" height="8">'
            f"<title>{count:,} {fate_name(fate)}</title></rect>"
        )
        at += size * scale
    return "".join(parts)


def _table(one: Table, box: _Box) -> str:
    rows = f"{one.rows:,} row{'' if one.rows == 1 else 's'}"
    return (
        _box(box)
        + _text(box.left + 6, box.top + 13, one.name, 17, "name")
        + _text(box.left + 6, box.top + 25, rows, 18)
    )


def _text(x: float, y: float, text: Any, most: int, kind: str = "") -> str:
    """Return a text that fits its box; what is cut off is in its title."""
    whole = str(text)
    cut = f"{whole[: most - 1]}…" if len(whole) > most else whole
    named = f"<title>{safe(whole)}</title>" if cut != whole else ""
    drawn = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{drawn}>{safe(cut)}{named}</text>'


def _said(datasets: Iterable[Dataset]) -> str:
    """Say the picture in words."""
    return " ".join(
        f"{one.name}, from {one.source}: {one.records:,} records"
        + "".join(f", {one.fates[fate]:,} {fate_name(fate)}" for fate in FATES if one.fates.get(fate))
        + (f", {one.held:,} held" if one.held else "")
        + "."
        for one in datasets
    )
