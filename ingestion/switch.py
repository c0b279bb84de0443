"""Read which sources are on, and until when, from CLEARWELL_SOURCES: the only place that says so.

Unset, every source is on and goes on for ever. `orders until 2011-12-10, exchange_rates` are two: any other is off, and
of the orders nothing is expected from that time on. `run`, `status`, `heal`, `sweep` and the DAGs all look here.
"""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime

from ingestion.errors import Permanent
from ingestion.fields import guess
from ingestion.window import parse_time

VARIABLE = "CLEARWELL_SOURCES"


def sources_on(known: Sequence[str], env: Mapping[str, str] = os.environ) -> dict[str, datetime | None]:
    """Return the sources that are on, each with the time at which it ended; None if it has not."""
    text = env.get(VARIABLE, "").strip()
    if not text:
        return dict.fromkeys(known)
    found: dict[str, datetime | None] = {}
    for entry in text.split(","):
        name, *rest = entry.split() or [""]
        if name not in known or name in found or (rest and (len(rest) != 2 or rest[0] != "until")):
            raise Permanent(
                f"{VARIABLE} is {text!r}: {entry.strip()!r} is no source, or is there twice{guess(name, known)}",
                todo=f"name some of {', '.join(known)}, with commas between; a source that ended: orders until 2011-12-10",
            )
        found[name] = parse_time(rest[1]) if rest else None
    return {name: found[name] for name in known if name in found}
