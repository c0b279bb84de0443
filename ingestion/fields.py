"""The fields of a YAML mapping, each read with an error that names the file, the field, and what is wrong with it."""

import gc
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from ingestion.errors import Permanent

_DURATION = re.compile(r"(\d+)\s+(minute|hour|day)s?")


class _Loader(yaml.CSafeLoader):
    """The parser in C, ten times as fast as PyYAML's other one. A repeated key is an error: YAML would keep the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value} appears twice", key.start_mark
                    )
                seen.add(key.value)
        return dict(super().construct_mapping(node, deep))


def read_yaml(path: Path) -> Any:
    """Read a YAML file, fast: every command reads the project's. Bad YAML is Permanent, and names the file and the line."""
    return parse_yaml(read_text(path), path)


def read_text(path: Path) -> str:
    """Read a file that people write. One that is not UTF-8 is Permanent."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Permanent(f"the file is not UTF-8: {error.reason}", where=str(path), todo="save it as UTF-8") from error


def parse_yaml(text: str, path: Path) -> Any:
    """Parse what was read of a YAML file, as `read_yaml` does."""
    try:
        with _without_garbage_collection():
            return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error)
        raise Permanent(f"the file is not YAML: {what}", where=f"{path}{line}", todo="fix the YAML") from error


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Parsing makes many objects, and each thousand starts a search of all others: in Airflow's processes that takes longer."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_entries(path: Path, name: str) -> list[dict[Any, Any]]:
    """Read the mappings that a YAML file lists under a name; none where nothing is written."""
    return entries(read_yaml(path), path, name)


def entries(body: Any, path: Path, name: str) -> list[dict[Any, Any]]:
    """Return the mappings that the content of a YAML file lists under a name; none where nothing is written."""
    body = mapping(body, path, name)
    return [mapping(one, path, name) for one in items(body.get(name), path, name)]


def parse_duration(text: object) -> timedelta:
    """Read "<n> minute(s)|hour(s)|day(s)"; anything else is a ValueError."""
    match = _DURATION.fullmatch(str(text).strip())
    try:
        length = timedelta(**{f"{match[2]}s": int(match[1])}) if match else timedelta(0)
    except OverflowError:
        length = timedelta(0)
    if not length:
        raise ValueError(f'"{text}" is not a duration such as "2 days"')
    return length


def say_duration(length: timedelta) -> str:
    """Write a duration as contracts do."""
    for unit, size in (("day", timedelta(days=1)), ("hour", timedelta(hours=1))):
        if length % size == timedelta(0):
            return f"{length // size} {unit}{'s' if length > size else ''}"
    return f"{length // timedelta(minutes=1)} minutes"


def say_age(age: timedelta) -> str:
    """Write how long ago something was, in its two largest units."""
    minutes = max(age, timedelta(0)) // timedelta(minutes=1)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [f"{number} {unit}" for number, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if number]
    return " ".join(parts[:2]) or "0 min"


def bad(path: Path, field: str, what: str) -> Permanent:
    """Return an error about a field of a contract."""
    return Permanent(f"contract field {field} {what}", where=str(path), todo="fix the YAML")


def guess(name: object, known: Iterable[str]) -> str:
    """Suggest the known name that is nearest; empty if none is near."""
    near = get_close_matches(str(name), list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


def mapping(value: object, path: Path, field: str) -> dict[Any, Any]:
    """Return a mapping; an empty one where nothing is written."""
    if value is not None and not isinstance(value, dict):
        raise bad(path, field, f"must be a mapping of names to values, not {value!r}")
    return value or {}


def items(value: object, path: Path, field: str) -> list[Any]:
    """Return a list; an empty one where nothing is written."""
    if value is not None and not isinstance(value, list):
        raise bad(path, field, f"must be a list, not {value!r}")
    return value or []


def text_of(value: object, path: Path, field: str) -> str:
    """Return a text. YAML reads `no`, `on` and dates as other types: these are errors, never converted back."""
    if not isinstance(value, str):
        kind = "a date" if isinstance(value, date) else f"{value!r}"
        raise bad(path, field, f"must be text, but YAML reads it as {kind}: write it in quotes")
    return value


@dataclass(frozen=True)
class Fields:
    """Read the fields of one mapping; `name` says whose they are."""

    meta: Mapping[Any, Any]
    path: Path
    name: str

    def only(self, known: Sequence[str]) -> None:
        """Refuse unknown fields and fields without a value."""
        for field, value in self.meta.items():
            if field not in known:
                what = f"is not known{guess(field, known) or '.'}"
                if not isinstance(field, str):
                    what += " YAML reads on, yes, no and dates as other types than text, unless they are in quotes."
                raise bad(self.path, f"{self.name}.{field}", f"{what} Known are: {', '.join(known)}")
            if value is None:
                raise bad(self.path, f"{self.name}.{field}", "is empty or missing: give it a value, or leave it out")

    def has(self, field: str) -> bool:
        return self.meta.get(field) is not None

    def text(self, field: str) -> str:
        if not self.has(field):
            raise bad(self.path, f"{self.name}.{field}", "is missing")
        text = text_of(self.meta[field], self.path, f"{self.name}.{field}")
        if not text.strip():
            raise bad(self.path, f"{self.name}.{field}", "is empty")
        return text

    def text_or_none(self, field: str) -> str | None:
        return self.text(field) if self.has(field) else None

    def whole(self, field: str) -> int:
        value = self.meta.get(field)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise bad(self.path, f"{self.name}.{field}", f"must be a whole number from 1, not {value!r}")
        return value

    def flag(self, field: str) -> bool:
        value = self.meta.get(field, False)
        if not isinstance(value, bool):
            raise bad(self.path, f"{self.name}.{field}", f"must be true or false, not {value!r}")
        return value

    def share(self, field: str, default: float) -> float:
        value = self.meta.get(field, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise bad(self.path, f"{self.name}.{field}", f"must be a share from 0 to 1, such as 0.01, not {value!r}")
        return float(value)

    def one_of(self, field: str, allowed: Sequence[str]) -> str:
        text = self.text(field)
        if text not in allowed:
            raise bad(
                self.path,
                f"{self.name}.{field}",
                f"must be one of {', '.join(allowed)}, not {text}{guess(text, allowed)}",
            )
        return text

    def names(self, field: str, known: Sequence[str]) -> tuple[str, ...]:
        """Read a list of columns."""
        names = self.meta.get(field)
        if not isinstance(names, list) or not names:
            raise bad(self.path, f"{self.name}.{field}", "must be a list of columns")
        return tuple(self._column(field, text_of(name, self.path, f"{self.name}.{field}"), known) for name in names)

    def column(self, field: str, known: Sequence[str]) -> str:
        """Read the name of a column."""
        return self._column(field, self.text(field), known)

    def column_or_none(self, field: str, known: Sequence[str]) -> str | None:
        return self.column(field, known) if self.has(field) else None

    def duration(self, field: str) -> timedelta:
        if not self.has(field):
            raise bad(self.path, f"{self.name}.{field}", "is missing")
        try:
            return parse_duration(self.meta[field])
        except ValueError as error:
            raise bad(self.path, f"{self.name}.{field}", f"is wrong: {error}") from None

    def _column(self, field: str, name: str, known: Sequence[str]) -> str:
        if name not in known:
            raise bad(
                self.path,
                f"{self.name}.{field}",
                f"names {name}, which is not a column of the contract{guess(name, known)}",
            )
        return name
