"""Start from what is made once: copies of a home, and of a database of the shop's server."""

import shutil
from pathlib import Path

import psycopg

from ingestion.home import Home


def copied(home: Home, root: Path) -> Home:
    """Copy a home into a new folder. The copy reads the same landing folder and the same shop."""
    shutil.copytree(home.root, root, ignore=shutil.ignore_patterns("shop", "landing"))
    return Home(root, home.landing, home.database_url())


def database(shop: Home, name: str, template: str = "template1") -> str:
    """Create a database on the shop's server as a copy of another one, in place of an earlier one; return its address.

    Nobody may be connected to the other one meanwhile.
    """
    with psycopg.connect(shop.database_url(), autocommit=True) as connection:
        connection.execute(f"drop database if exists {name}")
        connection.execute(f"create database {name} template {template}")
    return shop.database_url().rpartition("/")[0] + f"/{name}"
