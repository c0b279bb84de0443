"""Read from CLEARWELL_SOURCES which sources are on, and until when. Nothing else decides it.

If it is unset, every source is on without an end. `orders until 2011-12-10, exchange_rates` switches two sources on and
the others off, and expects no orders from that date on. `run`, `status`, `heal`, `sweep` and the DAGs all use it.
"""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime

from ingestion.errors import Permanent
from ingestion.fields import guess
from ingestion.window import parse_time

VARIABLE = "CLEARWELL_SOURCES"


def is_on(source: str, env: Mapping[str, str] = os.environ) -> bool:
    """Say whether a source is on, if the variable is right: `sources_on` says what is wrong with it."""
    text = env.get(VARIABLE, "").strip()
    return not text or source in (words[0] for words in map(str.split, text.split(",")) if words)


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
                f"{VARIABLE} is {text!r}: {entry.strip()!r} is not a source, or appears twice{guess(name, known)}",
                todo=f"list some of {', '.join(known)}, separated by commas; write a source that has ended as: orders until 2011-12-10",
            )
        found[name] = parse_time(rest[1]) if rest else None
    return {name: found[name] for name in known if name in found}
