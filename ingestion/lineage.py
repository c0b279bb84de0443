"""Whether lineage events are wanted, and that they never fail a run. Importing what makes them takes a fifth of a second."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ingestion import log

DISABLED = "OPENLINEAGE_DISABLED"


def is_on() -> bool:
    """Say whether lineage events are wanted: unless OPENLINEAGE_DISABLED is true, as for OpenLineage's own client."""
    return os.environ.get(DISABLED, "").strip().lower() != "true"


@contextmanager
def never_failing() -> Iterator[None]:
    """Turn an error into a warning, without its words: they may hold an address or a value."""
    try:
        yield
    except Exception as error:
        log.warning(f"lineage events were left out, by {type(error).__name__}")
