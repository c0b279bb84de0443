"""Find the values deep in JSON lines, as columns with the paths by which contracts name them.

An object becomes a column for each of its values, and a list of keys and values, as Google Analytics writes them, one for each
key. Other lists stay one column; so do objects with a name that no path can have, or with so many that they look like values.
Depth and number are bounded.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ingestion.names import PLAIN_STEP, step

DEPTH = 6
LEAVES = 150
# An object with more names than that is a map from values to values.
_MOST_NAMES = 60
_SEARCHED = re.compile(r"[\w .:/@-]*[\w:/@-]")
# The names under which a list of keys and values has its keys; the values are under `value`.
_KEYS, _VALUE = ("key", "name"), "value"


@dataclass(frozen=True)
class Leaves:
    """Lines by their columns, one after the other.

    The columns are in the order of the lines. `labels` are the words of those that are paths; `left_out` are paths beyond the bounds.
    """

    rows: Iterator[dict[str, Any]]
    columns: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


@dataclass
class _Node:
    """What stands at one place of the lines: how many values, and what is in those that are objects or lists of pairs."""

    count: int = 0
    objects: int = 0
    pairs: dict[str, int] = field(default_factory=dict)
    names: "dict[str, _Node]" = field(default_factory=dict)
    keys: "dict[str, _Node]" = field(default_factory=dict)

    def see(self, value: Any, depth: int) -> None:
        if value is None:
            return
        self.count += 1
        if isinstance(value, dict):
            self.objects += 1
            _see_all(self.names, value.items(), depth)
        elif isinstance(value, list) and (by := _key_of(value)):
            self.pairs[by] = self.pairs.get(by, 0) + 1
            _see_all(self.keys, ((one[by], one.get(_VALUE)) for one in value), depth)

    # both are asked for again and again, once all lines are seen
    @cached_property
    def is_object(self) -> bool:
        are_named = 0 < len(self.names) <= _MOST_NAMES and all(map(step, self.names))
        return 0 < self.objects == self.count and are_named

    @cached_property
    def searched_by(self) -> str | None:
        """The name under which a list of pairs has its keys; None if it is something else."""
        by = next(iter(self.pairs), None)
        return by if by and self.pairs[by] == self.count and 0 < len(self.keys) <= _MOST_NAMES else None


def _see_all(nodes: dict[str, _Node], found: Any, depth: int) -> None:
    for name, value in found:
        if depth < DEPTH and (name in nodes or len(nodes) <= _MOST_NAMES):
            nodes.setdefault(name, _Node()).see(value, depth + 1)


def _key_of(values: list[Any]) -> str | None:
    """Return the name of the keys in a list of keys and values, of which none repeats; None of any other list."""
    for by in _KEYS:
        if values and all(isinstance(one, dict) and set(one) == {by, _VALUE} for one in values):
            keys = [one[by] for one in values]
            if all(isinstance(one, str) and _SEARCHED.fullmatch(one) for one in keys) and len(set(keys)) == len(keys):
                return by
    return None


@dataclass(frozen=True)
class _Leaf:
    path: str
    words: tuple[str, ...]
    node: _Node


def find_leaves(lines: Sequence[dict[str, Any]]) -> Leaves:
    """Return the lines with a column for each name at their top, or for each value below it."""
    top: dict[str, _Node] = {}
    for line in lines:
        for name, value in line.items():
            top.setdefault(name, _Node()).see(value, 1)
    splits = {name: node for name, node in top.items() if _is_split(node) and re.fullmatch(PLAIN_STEP, name)}
    below = {name: list(_below(node, f"$.{name}", (name,), can_search=True)) for name, node in splits.items()}
    found = [leaf for leaves in below.values() for leaf in leaves]
    kept = sorted(found, key=lambda leaf: -leaf.node.count)[:LEAVES]
    paths = {leaf.path for leaf in kept}
    return Leaves(
        (_row(line, splits, paths) for line in lines),
        tuple(
            path
            for name in top
            for path in ([leaf.path for leaf in below[name] if leaf.path in paths] if name in below else [name])
        ),
        _labels([leaf for leaf in found if leaf.path in paths]),
        tuple(leaf.path for leaf in found if leaf.path not in paths),
    )


def _is_split(node: _Node) -> bool:
    return node.is_object or node.searched_by is not None


def _below(node: _Node, path: str, words: tuple[str, ...], *, can_search: bool) -> Iterator[_Leaf]:
    """Yield the leaves below a place. A path has one search."""
    by = node.searched_by
    if node.is_object:
        for name, one in node.names.items():
            yield from _below(one, f"{path}{step(name)}", (*words, name), can_search=can_search)
    elif by and can_search:
        for key, one in node.keys.items():
            yield from _below(one, f"{path}[{by}={key}].{_VALUE}", (*words, key), can_search=False)
    elif node.count:
        yield _Leaf(path, words, node)


def _labels(leaves: Sequence[_Leaf]) -> dict[str, str]:
    """Return words for each path. Of a key with one type of value, `string_value` and the like say nothing."""
    short = [
        leaf.words[:-1] if "=" in leaf.path and leaf.words[-1].endswith("_value") else leaf.words for leaf in leaves
    ]
    return {
        leaf.path: " ".join(words if short.count(words) == 1 else leaf.words)
        for leaf, words in zip(leaves, short, strict=True)
    }


def _row(line: dict[str, Any], splits: Mapping[str, _Node], paths: set[str]) -> dict[str, Any]:
    row = {name: value for name, value in line.items() if name not in splits}
    for name, node in splits.items():
        if name in line:
            row |= dict(_values(line[name], node, f"$.{name}", paths))
    return row


def _values(value: Any, node: _Node, path: str, paths: set[str]) -> Iterator[tuple[str, Any]]:
    if path in paths:
        yield path, value
    elif isinstance(value, dict) and node.is_object:
        for name, one in value.items():
            if name in node.names:
                yield from _values(one, node.names[name], f"{path}{step(name)}", paths)
    elif isinstance(value, list) and (by := node.searched_by):
        for one in value:
            if one[by] in node.keys:
                yield from _values(one.get(_VALUE), node.keys[one[by]], f"{path}[{by}={one[by]}].{_VALUE}", paths)
