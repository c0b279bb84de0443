"""Of DuckDB's real messages, no value of a row is left; what they say of names and SQL stays."""

import duckdb
import pytest

from warehouse.error_texts import without_values

VALUES = ["ann.lee@shop.example", "O'Brien ann.lee@shop.example", 'say "ann.lee@shop.example"', "two\nlines of ann.lee"]


def message(query: str, value: str) -> str:
    with duckdb.connect() as connection:
        connection.execute("create table people as select $1 as mail", [value])
        connection.execute("create table keys (mail varchar primary key)")
        connection.execute("insert into keys from people")
        with pytest.raises(duckdb.Error) as raised:
            connection.execute(query)
        return f"Runtime Error in model silver_customers (models/silver/silver_customers.sql)\n  {raised.value}"


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "query",
    [
        "select cast(mail as integer) from people",
        "select cast(mail as date) from people",
        "select mail::json from people",
        "select strptime(mail, '%Y') from people",
        "insert into keys from people",
    ],
)
def test_no_value_is_left(query: str, value: str) -> None:
    raw = message(query, value)
    assert "ann.lee" in raw
    told = without_values(raw)
    assert "ann.lee" not in told and "Brien" not in told
    assert told.startswith("Runtime Error in model silver_customers") and told.endswith("(values are left out)")


def test_numbers_are_values_too() -> None:
    raw = message("select cast(mail as tinyint) from (select 4917612345 as mail)", "")
    assert "4917612345" in raw and "4917612345" not in without_values(raw)


def test_what_is_about_names_and_files_stays() -> None:
    for query in ("select missing from people", "from nowhere", "selec 1"):
        raw = message(query, "x")
        assert without_values(raw) == raw
    assert without_values("Completed successfully") == "Completed successfully"
