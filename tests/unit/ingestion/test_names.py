"""Names of a source's columns: each has one of its own in Parquet, whatever they are."""

from hypothesis import example, given
from hypothesis import strategies as st

from ingestion.names import BRONZE_OWN, fold, physical_names, renamed, source_columns

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
