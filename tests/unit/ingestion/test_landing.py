"""A landing counts what it added: those batches of its window that are new."""

from dataclasses import replace
from datetime import UTC, datetime

from ingestion.landing import Landing
from ingestion.manifest import Manifest
from ingestion.window import Window

WINDOW = Window.parse("2026-11-01", "2026-11-02")
BATCH = Manifest("orders", "b1", "orders", WINDOW, 1, datetime(2026, 11, 2, tzinfo=UTC), 3, 3)


def test_only_what_is_new_counts_as_landed() -> None:
    batches = (
        BATCH,
        replace(BATCH, batch_id="b2", records_written=4),
        replace(BATCH, batch_id="b3", records_written=5),
    )
    assert Landing("orders", WINDOW, batches, frozenset({"b2", "b3"})).records == 9
    assert Landing("orders", WINDOW, batches, frozenset()).records == 0
