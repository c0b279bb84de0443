"""The switch is that of OpenLineage's client, and no error about events leaves."""

import logging

import pytest

from ingestion import lineage


@pytest.mark.parametrize(
    ("value", "is_on"), [("true", False), (" True ", False), ("false", True), ("", True), ("1", True)]
)
def test_the_switch(value: str, is_on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", value)
    assert lineage.is_on() == is_on


def test_an_error_is_a_warning_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), lineage.never_failing():
        raise OSError("https://me:secret@host")
    assert "OSError" in caplog.text and "secret" not in caplog.text
