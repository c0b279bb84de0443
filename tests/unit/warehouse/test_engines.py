"""Which engine a build uses that names none."""

import pytest

from ingestion.errors import Permanent
from warehouse.engines import DUCKDB, ENGINE, SPARK, default_engine


@pytest.mark.parametrize(("said", "engine"), [("", DUCKDB), ("duckdb", DUCKDB), ("spark", SPARK)])
def test_the_variable_names_the_engine(monkeypatch: pytest.MonkeyPatch, said: str, engine: str) -> None:
    monkeypatch.delenv(ENGINE, raising=False)
    assert default_engine() == DUCKDB
    monkeypatch.setenv(ENGINE, said)
    assert default_engine() == engine


def test_another_word_is_an_error_that_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENGINE, "polars")
    with pytest.raises(Permanent, match=r"CLEARWELL_ENGINE is 'polars'.*duckdb or spark"):
        default_engine()
