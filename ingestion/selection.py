"""Which rows of a source are records of a dataset: the conditions of `where` in its contract.

A row that does not meet them lands as any other, and its fate is `withdrawn`, for the reason `not_selected`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ingestion.columns import is_pattern, read_names, read_pattern
from ingestion.fields import Fields, bad, items, mapping, text_of
from ingestion.sql import identifier, literal
from ingestion.table_settings import Table


@dataclass(frozen=True)
class Condition:
    """One of the conditions that all hold for a dataset's rows: what a column of the source is, or what it is not.

    `names` are those that the column may have at the source; the first with a value counts. A text between slashes is a
    pattern, and an empty one means that there is no value.
    """

    names: tuple[str, ...]
    is_one_of: tuple[str, ...] = ()
    is_none_of: tuple[str, ...] = ()


def read_where(reader: Fields) -> tuple[Condition, ...]:
    """Read the conditions of a contract."""
    field = f"{reader.name}.where"
    found = tuple(
        _condition(Fields(mapping(one, reader.path, field), reader.path, field))
        for one in items(reader.meta.get("where"), reader.path, field)
    )
    if reader.has("where") and not found:
        raise bad(reader.path, field, "is empty: give it conditions, or leave it out")
    return found


def of_each(settings: object) -> tuple[Condition, ...]:
    """Return the condition that a line has an element of its list, where each of them is a record. A line that is a list has no path."""
    path = getattr(settings, "each", "")
    return (Condition((path,), is_none_of=("", "[]")),) if path not in ("", "$") else ()


def as_query(table: Table, conditions: Sequence[Condition]) -> str:
    """Return the `query` of a contract that reads the rows of a table, or of its query, which meet conditions."""
    rows = ".".join(map(identifier, table.name)) if table.name else f"({table.query}) as rows"
    query = f"select * from {rows} where {' and '.join(map(_in_sql, conditions))}"
    return f"query: {literal(query)}"  # YAML doubles a quotation mark as SQL does


def _in_sql(condition: Condition) -> str:
    """Return a condition in the SQL of Postgres. An empty text is no value."""
    columns = [f"{identifier(name)}::text" for name in condition.names]
    first = [f"nullif({column}, '')" for column in columns[:-1]]  # the first with a value counts
    value = f"coalesce({', '.join([*first, columns[-1]])}, '')"
    texts = condition.is_one_of or condition.is_none_of
    plain = [literal(text) for text in texts if not is_pattern(text)]
    tests = [f"{value} in ({', '.join(plain)})"] if plain else []
    tests += [f"{value} ~ {literal(f'^({text[1:-1]})$')}" for text in texts if is_pattern(text)]
    found = f"({' or '.join(tests)})"
    return found if condition.is_one_of else f"not {found}"


def _condition(reader: Fields) -> Condition:
    reader.only(("from", "is", "is_not"))
    if not reader.has("from"):
        raise bad(reader.path, f"{reader.name}.from", "is missing: name the column of the source")
    if reader.has("is") == reader.has("is_not"):
        raise bad(reader.path, f"{reader.name}.is", "or `is_not` must be given, and not both")
    return Condition(read_names(reader), _texts(reader, "is"), _texts(reader, "is_not"))


def _texts(reader: Fields, field: str) -> tuple[str, ...]:
    value, name = reader.meta.get(field), f"{reader.name}.{field}"
    texts = value if isinstance(value, list) else [value] if value is not None else []
    if reader.has(field) and not texts:
        raise bad(reader.path, name, "is empty: give it a value")
    for text in texts:
        read_pattern(reader, field, text_of(text, reader.path, name))
    return tuple(texts)
