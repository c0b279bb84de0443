"""What a dataset promises its readers: how fresh, how complete, and how much of it may be refused."""

from dataclasses import dataclass
from datetime import timedelta

from ingestion.fields import Fields, bad, mapping, say_duration

FIELD = "service_level"
# A run starts when its window has ended, and a build follows: three hours allow for retries of both.
_LEAST_FRESHNESS = timedelta(hours=3)
# The audit raises an alert at the same difference from the source's own count.
COMPLETENESS = 0.999
_SPAN = timedelta(days=28)


@dataclass(frozen=True)
class ServiceLevel:
    """A dataset's promises.

    `freshness` is how long after the end of a window its data is complete and published. `completeness` is the least share
    of the records counted by the source that has landed. `error_share` is the greatest share of records that may be refused
    among those of the last `error_span`: the error budget.
    """

    freshness: timedelta
    completeness: float
    error_share: float
    error_span: timedelta


def read_service_level(reader: Fields, cadence: timedelta, breaker_share: float) -> ServiceLevel:
    """Read `service_level`; what it leaves out follows from the cadence and the breaker."""
    level = _inner(reader, FIELD)
    level.only(("freshness", "completeness", "error_budget"))
    budget = _inner(level, "error_budget")
    budget.only(("share", "over"))
    read = ServiceLevel(
        freshness=level.duration("freshness") if level.has("freshness") else max(cadence, _LEAST_FRESHNESS),
        completeness=level.share("completeness", COMPLETENESS),
        error_share=budget.share("share", breaker_share),
        error_span=budget.duration("over") if budget.has("over") else _SPAN,
    )
    if read.error_span < timedelta(days=1) or read.error_span % timedelta(days=1):
        what = f"is {say_duration(read.error_span)}: refused records are counted by date, so give whole days"
        raise bad(reader.path, f"{budget.name}.over", what)
    return read


def _inner(reader: Fields, field: str) -> Fields:
    """Return the fields of a nested mapping."""
    name = f"{reader.name}.{field}"
    return Fields(mapping(reader.meta.get(field), reader.path, name), reader.path, name)
