from pathlib import Path

import duckdb
import pytest

from ingestion.sql import literal


@pytest.mark.parametrize("value", ["", "o'clock", "''", "a\\b", Path("/tmp/it's")])
def test_a_literal_is_the_text_that_it_quotes(value: object) -> None:
    with duckdb.connect() as connection:
        assert connection.execute(f"select {literal(value)}").fetchall() == [(str(value),)]
