from pathlib import Path

import duckdb
import pytest

from ingestion.sql import identifier, literal


@pytest.mark.parametrize("value", ["", "o'clock", "''", "a\\b", Path("/tmp/it's")])
def test_a_literal_is_the_text_that_it_quotes(value: object) -> None:
    with duckdb.connect() as connection:
        assert connection.execute(f"select {literal(value)}").fetchall() == [(str(value),)]


@pytest.mark.parametrize("name", ["order", "Unit Price", 'a "b"', "o'clock"])
def test_an_identifier_names_the_column_that_it_quotes(name: str) -> None:
    with duckdb.connect() as connection:
        assert connection.sql(f"select 1 as {identifier(name)}").columns == [name]
