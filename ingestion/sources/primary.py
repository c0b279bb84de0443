"""Count the primary of a database that is a copy: rows missing in a copy go unnoticed otherwise.

It is counted before the copy is read and again once the copy's snapshot is taken. If nothing changed in between, the copy
must have the same counts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from ingestion.connections import Address
from ingestion.errors import Permanent, Transient
from ingestion.land import Run
from ingestion.sources.postgres import About, snapshot
from ingestion.sources.table_counts import Counted


@dataclass
class Primary:
    """What the primary held for the days of a sweep, each time it was counted; empty if there is none, or none that answers.

    A landing can do without it: a primary that does not answer is only reported. One that refuses is Permanent.
    """

    run: Run
    address: Address | None
    count_in: Callable[[psycopg.Connection[Any]], Mapping[str, Counted]]
    counted: list[Mapping[str, Counted]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def count(self) -> None:
        """Count once more, unless that is useless."""
        if not self.address or not self.run.is_sweep or self.messages:
            return
        given_as = self.address.given_as
        try:
            with snapshot(self.address.url, about=About("the primary", given_as)) as connection:
                (is_copy,) = connection.execute("select pg_is_in_recovery()").fetchone() or (False,)
                if is_copy:
                    raise Permanent(
                        f"{given_as} is a replica itself",
                        where=connection.where,
                        todo=f"set {given_as} to the server that it is a copy of; or unset it, and nothing is compared",
                    )
                self.counted.append(self.count_in(connection))
        except Transient as error:
            self.counted.clear()
            self.messages.append(f"the days are not compared with the primary, which did not answer: {error}")
