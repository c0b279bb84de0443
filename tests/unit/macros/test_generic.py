"""The generic tests of records, against plain Python: random records with missing keys and versions."""

import re
from collections import Counter
from typing import Any, NamedTuple

import duckdb
import jinja2
from hypothesis import given
from hypothesis import strategies as st

from ingestion.contract import PROJECT


class Record(NamedTuple):
    key: str | None
    version: int | None
    fate: str
    decision: str | None
    is_deleted: bool


FATES = ("current", "superseded", "duplicate", "withdrawn")
RECORDS = st.lists(
    st.builds(
        Record,
        st.sampled_from(["a", "b", None]),
        st.sampled_from([1, 2, None]),
        st.sampled_from(FATES),
        st.sampled_from([None, None, "d1"]),
        st.booleans(),
    ),
    max_size=12,
)


def rows(test: str, records: list[Record], **arguments: Any) -> Counter[tuple[Any, ...]]:
    """Return the rows that fail a generic test, as dbt would run it."""
    text = (PROJECT / "tests" / "generic" / f"{test}.sql").read_text()
    body = re.findall(r"\{% test [^%]*%\}(.*)\{% endtest %\}", text, re.S)[0]
    sql = jinja2.Environment().from_string(body).render(config=lambda **_: "", model="records", **arguments)
    with duckdb.connect() as connection:
        connection.execute(
            "create table records (key varchar, version integer, fate varchar, decision varchar, is_deleted boolean)"
        )
        if records:
            connection.executemany("insert into records values (?, ?, ?, ?, ?)", records)
        return Counter(connection.execute(sql).fetchall())


@given(RECORDS)
def test_a_key_has_one_current_record_unless_all_its_records_are_decided(records: list[Record]) -> None:
    wrong = {}
    for key in {one.key for one in records}:
        of_key = [one for one in records if one.key == key]
        current = sum(one.fate == "current" for one in of_key)
        if current != any(one.decision is None for one in of_key):
            wrong[key] = current
    assert rows("one_current", records, key=["key"]) == Counter(wrong.items())


@given(RECORDS)
def test_a_version_has_one_content_also_among_current_records(records: list[Record]) -> None:
    compete = [one for one in records if one.fate in FATES[:2] and one.decision is None and not one.is_deleted]
    contents = Counter((one.key, one.version) for one in compete)
    expected = Counter((*of, number) for of, number in contents.items() if number > 1)
    assert rows("one_content_per_version", records, key=["key", "version"]) == expected
