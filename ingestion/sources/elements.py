"""Make several records of a line with a list: where a contract says `each`, a line lands once for each element of its list.

An order with `"line_items": [{…}, {…}]` lands as two lines, with `"line_items": {…}` in each, and every other byte as it was. So the
paths of a contract reach what the order and what its line says, and a refused line is reported alone.

A list on the way to it is taken apart, too: of visits with actions with items, `$.actions.items` makes a record of each item, and one
of each action without any. A line may be a list itself, as an API answers: it is read as if each element were a line. `$` is its path.

A line without such a list, with an empty one, or that cannot be read lands as it is.
"""

import json
import re
from collections.abc import Iterator

import pyarrow as pa

from ingestion.names import steps_of

# What the other parts of a line are copied to at most; a line that needs more lands as it is, and is refused.
COPIED_BYTES = 64 << 20
# Tables are handed over when they have so many characters.
_PART = 4 << 20
_BLANKS = re.compile(r"[ \t\r\n]*")
_MARK = "\ufeff"


class _Unfit(ValueError):
    """Raised where a line is not to be split."""


def _refuse(constant: str) -> None:
    raise _Unfit(constant)


# Return the value at a place, and where it ends. NaN is no JSON.
_scan = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_refuse).raw_decode


def split(line: str, path: str) -> Iterator[str]:
    """Yield a line once for each element of the list at a path, with the element in place of the list.

    A list on the way is taken apart, too. A line that is a list is as many lines as it has elements.
    """
    steps = steps_of(path)
    try:
        start = _after(line, len(_MARK) if line.startswith(_MARK) else 0)
        end = _scan(line, start)[1]
        if _BLANKS.fullmatch(line, end) is None:
            raise _Unfit("more than one value")
    except (ValueError, RecursionError):
        yield line
        return
    # one after the other, as a day of an API may be one line
    values = list(_elements(line, start)) if line[start] == "[" else []
    for begin, stop in values or [(start, end)]:
        for piece in _split(line, begin, stop, steps) or [line[begin:stop]]:
            yield f"{line[:start]}{piece}{line[end:]}"


def _split(line: str, start: int, end: int, steps: tuple[str, ...]) -> list[str] | None:
    """Return the pieces of one record; None if it stays as it is."""
    try:
        return _pieces(line, start, end, steps) if steps else None
    except (_Unfit, RecursionError):
        return None


def expanded(table: pa.Table, path: str) -> Iterator[pa.Table]:
    """Yield the lines of a table, each once for each element of its list. Lines that are no text stay."""
    texts: list[str | None] = []
    places: list[int] = []
    size = 0
    for place, line in enumerate(table["raw"].to_pylist()):
        for one in [None] if line is None else split(line, path):
            texts.append(one)
            places.append(place)
            size += len(one or "")
            if size >= _PART:
                yield _taken(table, places, texts)
                texts, places, size = [], [], 0
    yield _taken(table, places, texts)


def _taken(table: pa.Table, places: list[int], texts: list[str | None]) -> pa.Table:
    lines = table.take(pa.array(places, pa.int64()))
    return lines.set_column(
        table.schema.get_field_index("raw"), table.schema.field("raw"), [pa.array(texts, pa.string())]
    )


def _pieces(line: str, start: int, end: int, steps: tuple[str, ...]) -> list[str] | None:
    """Return the value at a place once for each element of the lists below the names of a path; None if it has none."""
    if line[start] == "[":
        found: list[tuple[str, list[str] | None]] = []
        for begin, stop in _elements(line, start):
            text = line[begin:stop]
            found.append((text, _pieces(line, begin, stop, steps) if steps else [text]))
        if all(pieces is None for _, pieces in found):
            return None
        made = [piece for text, pieces in found for piece in ([text] if pieces is None else pieces)]
        return _bounded(made, sum(map(len, made)) - (end - start))
    if line[start] != "{" or not steps:
        return None
    at = _value_of(line, start, steps[0])
    stop = _scan(line, at)[1] if at else 0
    below = _pieces(line, at, stop, steps[1:]) if at else None
    return None if below is None else _around(line[start:at], below, line[stop:end])


def _around(head: str, pieces: list[str], tail: str) -> list[str]:
    return [f"{head}{one}{tail}" for one in _bounded(pieces, len(pieces) * (len(head) + len(tail)))]


def _bounded(pieces: list[str], copied: int) -> list[str]:
    if copied > COPIED_BYTES:
        raise _Unfit("too much to copy")
    return pieces


def _elements(line: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield where each element of the list at a place begins and ends."""
    at = _after(line, start + 1)
    while line[at] != "]":
        at = _after(line, at + (line[at] == ","))
        end = _scan(line, at)[1]
        yield at, end
        at = _after(line, end)


def _value_of(line: str, start: int, name: str) -> int:
    """Return where the value of a name begins in the object at a place; 0 if it is not there. One that is there twice is unfit."""
    found = []
    at = _after(line, start + 1)
    while line[at] != "}":
        at = _after(line, at + (line[at] == ","))
        key, end = _scan(line, at)
        at = _after(line, _after(line, end) + 1)
        if key == name:
            found.append(at)
        at = _after(line, _scan(line, at)[1])
    if len(found) > 1:
        raise _Unfit("there twice")
    return found[0] if found else 0


def _after(line: str, at: int) -> int:
    """Return the next place that is no blank."""
    return _BLANKS.match(line, at).end()  # type: ignore[union-attr]
