"""Publish keyed hashes in place of ids of persons, where a contract says `hashed_with: CONNECTION`. The state keeps the ids.

Every published column of that name has the hash, in gold and in silver, so that tables still join. Equal ids have equal hashes as long
as the key is the same, whatever is rebuilt; without the key, nobody can tell whose a hash is. The key is the password of a connection.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ingestion.connections import secret
from ingestion.contract import Contract, read_contracts
from ingestion.errors import Permanent

# The digits of a hash: enough that no two ids share one.
_DIGITS = 32
_SHORTEST_KEY = 16
_SAID = " A keyed hash, made with the key "


@dataclass(frozen=True)
class Key:
    """A key, which no error, log or file shows. `name` says which it is, and nothing of it."""

    text: str = field(repr=False)

    @property
    def name(self) -> str:
        return hashlib.sha256(f"the name of {self.text}".encode()).hexdigest()[:8]

    def hash(self, column: str, value: str) -> str:
        """Return the hash of an id. `expression` is the same in SQL."""
        inner = hashlib.sha256(f"{self.text}{column.lower()}:{value}".encode()).hexdigest()
        return hashlib.sha256(f"{self.text}{inner}".encode()).hexdigest()[:_DIGITS]


Keys = Mapping[str, Key]


def named(contracts: Mapping[str, Contract] | None = None) -> dict[str, str]:
    """Return the connection that has the key of each hashed column, by the column in lower case."""
    found: dict[str, str] = {}
    for contract in (read_contracts() if contracts is None else contracts).values():
        for column in contract.columns:
            name = column.name.lower()
            if column.hashed_with and found.setdefault(name, column.hashed_with) != column.hashed_with:
                raise Permanent(
                    f"{column.name} is hashed with {found[name]} in one contract, and with {column.hashed_with} in another",
                    todo="name the same connection in both, or tables would not join",
                )
    return found


def read(contracts: Mapping[str, Contract] | None = None, env: Mapping[str, str] = os.environ) -> dict[str, Key]:
    """Return the key of each hashed column. One that is missing or too short is Permanent."""
    keys = {column: Key(secret(name, env)) for column, name in named(contracts).items()}
    for column, key in keys.items():
        if len(key.text) < _SHORTEST_KEY:
            raise Permanent(
                f"the key that {column} is hashed with has fewer than {_SHORTEST_KEY} characters",
                todo="use a longer one, such as that of: openssl rand -hex 32",
            )
    return keys


def expression(column: str, keys: Keys, said: str = "") -> str:
    """Return SQL for a column as it is published. `parameters` has the keys, which are in no text of a query.

    `said` is the comment of the column, where it comes from a file that was published: one that is hashed there stays as it is.
    """
    key = keys.get(column.lower())
    if not key or _SAID in said:
        return f'"{column}"'
    given = f"${_parameter(key)}"
    inner = f"sha256(concat({given}, '{column.lower()}:', \"{column}\"))"
    hashed = f"left(sha256(concat({given}, {inner})), {_DIGITS})"
    return f'case when "{column}" is not null then {hashed} end as "{column}"'


def parameters(query: str, keys: Keys) -> dict[str, str]:
    """Return the parameters of a query that holds such expressions."""
    return {_parameter(one): one.text for one in keys.values() if f"${_parameter(one)}" in query}


def _parameter(key: Key) -> str:
    return f"key_{key.name}"


def comment(column: str, said: str, keys: Keys) -> str:
    """Return the comment of a published column, which says that it is hashed, and with which key."""
    key = keys.get(column.lower())
    return f"{said}{_SAID}{key.name}." if key and _SAID not in said else said


def of_ids(ids: Mapping[str, Iterable[str]], keys: Keys) -> frozenset[str]:
    """Return the hashes of ids, by their column."""
    return frozenset(
        keys[column.lower()].hash(column, value)
        for column, values in ids.items()
        if column.lower() in keys
        for value in values
    )
