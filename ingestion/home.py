"""All paths and addresses: the folders that the pipeline writes, and where the sources are."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ingestion.addresses import is_address
from ingestion.errors import Permanent

# DuckDB reads the first four as a pattern, which other files may match. dbt ends a path at `#`, and renders braces.
_NO_PART_OF_A_PATH = frozenset("*?[\\#{")
# How the name of the file ends that says in which lake the state is.
LAKE = ".ducklake"


@dataclass(frozen=True)
class Home:
    """Every path and address in one place. The pipeline writes under `root`; `landing` holds the clickstream's folders."""

    root: Path
    landing: Path
    # Kept out of the repr, and so out of tracebacks: each may hold a password.
    shop_url: str | None = field(default=None, repr=False)
    # The primary of `shop_url`, if `shop_url` is a replica.
    primary_url: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> "Home":
        """Read CLEARWELL_HOME, CLICKSTREAM_LANDING, SHOP_DATABASE_URL and SHOP_PRIMARY_URL; an empty variable counts as unset."""
        root = _folder(env, "CLEARWELL_HOME", Path("data"))
        if odd := sorted(_NO_PART_OF_A_PATH & set(str(root))):
            raise Permanent(
                f"the path {root} cannot be a home: DuckDB or dbt misreads {' '.join(odd)} in a path",
                where="CLEARWELL_HOME",
                todo="set it to a folder without * ? [ \\ # or { in its path",
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
    def uploads(self) -> Path:
        return self.root / "uploads"

    @property
    def broken(self) -> Path:
        return self.root / "broken"

    @property
    def state(self) -> Path:
        """The state's file; or, if the state is in a lake, the file that names it."""
        lake = self.lake
        return lake if lake.exists() else self.root / "warehouse.duckdb"

    @property
    def lake(self) -> Path:
        """The file that names the state's lake: see `clearwell lake`."""
        return self.root / f"warehouse{LAKE}"

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
        """Return the shop's address: SHOP_DATABASE_URL, or else the demo's Postgres. It may hold a password."""
        if self.shop_url:
            return self.shop_url
        left_by_demo = self.shop / "database_url"
        try:
            url = left_by_demo.read_text().strip()
        except OSError:
            url = ""
        if not url:
            raise Permanent(
                "the shop database is not configured",
                where=str(left_by_demo),
                todo="set SHOP_DATABASE_URL, or run `clearwell shop start`, or leave orders out of CLEARWELL_SOURCES",
            )
        return url


def _folder(env: Mapping[str, str], name: str, default: Path) -> Path:
    """Read the path of a folder. An address is Permanent: later messages would show it, with its password."""
    text = env.get(name)
    if text and is_address(text):
        raise Permanent(
            f"{name} must be the path of a folder, but looks like an address",
            where=name,
            todo="set it to a path",
        )
    try:
        return Path(text or default).expanduser().absolute()
    except (RuntimeError, ValueError):
        raise Permanent(
            f"{name} starts with ~ and a user that does not exist", where=name, todo="write the full path"
        ) from None
