"""Where everything is: the folders the pipeline writes, and where the sources are."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ingestion.addresses import is_address
from ingestion.errors import Permanent

# DuckDB takes the first four for a pattern, which other files may match; dbt ends a path at the fifth, and fills in what is in braces.
_NO_PART_OF_A_PATH = frozenset("*?[\\#{")


@dataclass(frozen=True)
class Home:
    """Name every place once. `root` holds all that the pipeline writes, `landing` the clickstream's folders."""

    root: Path
    landing: Path
    # Kept out of its repr, and so out of tracebacks: each may hold a password.
    shop_url: str | None = field(default=None, repr=False)
    # The database that `shop_url` is a copy of, where that is one.
    primary_url: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> "Home":
        """Read CLEARWELL_HOME, CLICKSTREAM_LANDING, SHOP_DATABASE_URL and SHOP_PRIMARY_URL; an empty variable counts as unset."""
        root = _folder(env, "CLEARWELL_HOME", Path("data"))
        if odd := sorted(_NO_PART_OF_A_PATH & set(str(root))):
            raise Permanent(
                f"the path {root} cannot be a home: DuckDB or dbt would not read {' '.join(odd)} as part of a path",
                where="CLEARWELL_HOME",
                todo="name a folder without * ? [ \\ # and {",
            )
        return cls(
            root=root,
            landing=_folder(env, "CLICKSTREAM_LANDING", root / "landing" / "clickstream"),
            shop_url=env.get("SHOP_DATABASE_URL") or None,
            primary_url=env.get("SHOP_PRIMARY_URL") or None,
        )

    @property
    def bronze(self) -> Path:
        return self.root / "bronze"

    @property
    def staging(self) -> Path:
        return self.root / "staging"

    @property
    def builds(self) -> Path:
        return self.root / "builds"

    @property
    def broken(self) -> Path:
        return self.root / "broken"

    @property
    def state(self) -> Path:
        return self.root / "warehouse.duckdb"

    @property
    def published(self) -> Path:
        return self.root / "published" / "warehouse.duckdb"

    @property
    def shop(self) -> Path:
        return self.root / "shop"

    @property
    def airflow(self) -> Path:
        return self.root / "airflow"

    def database_url(self) -> str:
        """Return the shop's address: SHOP_DATABASE_URL, else the one the demo's Postgres left. May hold a password."""
        if self.shop_url:
            return self.shop_url
        left_by_demo = self.shop / "database_url"
        try:
            url = left_by_demo.read_text().strip()
        except OSError:
            url = ""
        if not url:
            raise Permanent(
                "no shop database is known",
                where=str(left_by_demo),
                todo="set SHOP_DATABASE_URL or type `clearwell shop start`; or leave orders out of CLEARWELL_SOURCES",
            )
        return url


def _folder(env: Mapping[str, str], name: str, default: Path) -> Path:
    """Read the path of a folder. What looks like an address is Permanent: each message would show it, password and all."""
    text = env.get(name)
    if text and is_address(text):
        raise Permanent(
            f"{name} must be the path of a folder, and looks like an address", where=name, todo="name a folder"
        )
    try:
        return Path(text or default).expanduser().absolute()
    except (RuntimeError, ValueError):
        raise Permanent(f"{name} names the home of a user whom nobody knows", where=name, todo="write it out") from None
