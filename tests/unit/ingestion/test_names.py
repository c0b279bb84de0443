"""Each column of a source gets a unique name in Parquet, whatever its name is."""

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingestion.names import BRONZE_OWN, fold, physical_names, renamed, source_columns, unfit

names = st.one_of(
    st.sampled_from(
        ["status", "Status", "STATUS", "status_2", "Status_2", *BRONZE_OWN, "RECORD_NO", "é", "É", "ß", "SS"]
    ),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=5),
)


@example(["Status_2", "Status", "status", "record_no", "record_no_2"])
@given(st.lists(names, unique=True, max_size=12))
def test_no_two_columns_share_a_name_and_none_has_one_of_ours(columns: list[str]) -> None:
    physical = physical_names(columns)
    assert list(physical) == columns
    folded = [fold(name) for name in physical.values()]
    assert len(set(folded)) == len(columns)
    assert not set(folded) & {fold(name) for name in BRONZE_OWN}
    assert physical_names(columns[::-1]) == dict(list(physical.items())[::-1])


def test_only_what_clashes_is_renamed() -> None:
    assert renamed(["Status", "Order ID", "🙂", "{{ x }}", "batch_id", "raw"]) == {}
    assert renamed(["Status", "status", "Record_No"]) == {"Status": "Status_2", "Record_No": "Record_No_2"}
    assert renamed(["Status", "status", "Status_2"]) == {"Status": "Status_3"}


def test_a_contracts_name_means_the_exact_column_else_the_only_one_in_other_case() -> None:
    assert source_columns(["status"], ["Status", "status"]) == {"status": "status"}
    assert source_columns(["status"], ["Status", "x"]) == {"status": "Status"}
    assert source_columns(["status"], ["Status", "STATUS"]) == {}
    assert source_columns(["Status"], ["Status", "status"]) == {"Status": "Status"}
    assert source_columns(["status"], []) == {}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        *(
            (name, "column that Clearwell adds")
            for name in ("batch_id", "Raw", "is_deleted", "fate", "money_amount", "text_status")
        ),
        *((name, "SQL keyword") for name in ("order", "Left", "columns")),
        *((name, "not a plain name") for name in ("a b", "Größe", "1st", "🙂", "{{ x }}", "a.b")),
    ],
)
def test_a_contracts_name_that_models_cannot_use_says_why(name: str, why: str) -> None:
    assert why in unfit(name, ["status"])


def test_the_other_names_are_fit() -> None:
    assert not [
        name for name in ("status", "Status", "text_note", "count", "name", "value", "timestamp") if unfit(name)
    ]


def test_the_words_of_sql_are_those_that_duckdb_has() -> None:
    with duckdb.connect() as connection:
        words = dict(connection.sql("select keyword_name, keyword_category from duckdb_keywords()").fetchall())
    assert {word for word in words if "SQL keyword" in unfit(word)} == {
        word for word, category in words.items() if category in ("reserved", "type_function")
    }
