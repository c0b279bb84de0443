"""Each column of a source gets a unique name in Parquet, whatever its name is."""

import json

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingestion.names import BRONZE_OWN, fold, physical_names, renamed, source_columns, text_in_raw, unfit

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
    def meant(name: str, *columns: str) -> str | None:
        return source_columns({name: (name,)}, columns).get(name)

    assert meant("status", "Status", "status") == "status"
    assert meant("status", "Status", "x") == "Status"
    assert meant("status", "Status", "STATUS") is None
    assert meant("Status", "Status", "status") == "Status"
    assert meant("status") is None


def test_a_column_may_have_other_names_at_the_source_of_which_the_first_counts() -> None:
    def meant(*columns: str) -> dict[str, str]:
        return dict(source_columns({"order_id": ("InvoiceNo", "Invoice"), "country": ("country",)}, columns))

    assert meant("Invoice", "Country") == {"order_id": "Invoice", "country": "Country"}
    assert meant("Invoice", "InvoiceNo") == {"order_id": "InvoiceNo"}
    assert meant("invoiceno", "INVOICENO", "Invoice") == {"order_id": "Invoice"}
    assert meant("order_id") == {}


@pytest.mark.parametrize("name", ["id", "Customer's id", "Preis (€)", "a.b", "from"])
def test_a_raw_value_is_found_under_any_name(name: str) -> None:
    with duckdb.connect() as connection:
        found = text_in_raw(["absent", name], "line")
        rows = connection.execute(f"select {found} from (select $1 as line)", [json.dumps({name: 7, "x": 1})])
        assert rows.fetchall() == [("7",)]


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
