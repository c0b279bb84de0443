"""The names of datasets for OpenLineage, a namespace and a name, by its conventions. No part of a name is a secret."""

from pathlib import Path
from urllib.parse import unquote

from ingestion import addresses, connections
from ingestion.contract import Contract
from ingestion.errors import ClearwellError
from ingestion.file_settings import Files, expanded
from ingestion.home import Home
from ingestion.table_settings import Table

Name = tuple[str, str]
# The schema of the shop's tables.
_SHOP = "shop"
_FILE = "file"


def of_source(contract: Contract, home: Home) -> Name:
    """Name where the records of a dataset come from: a table, or files by their location, with its date parts and wildcards."""
    settings = contract.settings
    if isinstance(settings, Table):
        return _table(settings.connection, settings.name or (f"query of {contract.dataset}",), home)
    if isinstance(settings, Files):
        return _files(expanded(settings.location, lambda name: f"${{{name}}}"))
    if contract.kind == "shop":
        return _table(connections.SHOP, (_SHOP, contract.dataset), home)
    return _FILE, str(home.landing)


def of_bronze(dataset: str, home: Home) -> Name:
    """Name the batches of a dataset."""
    return _FILE, str(home.bronze / dataset)


def of_table(schema: str, table: str, home: Home) -> Name:
    """Name a table of the warehouse. One that readers are given has the same name in the published file."""
    return f"duckdb://{home.state}", f"{home.state.stem}.{schema}.{table}"


def _table(connection: str, name: tuple[str, ...], home: Home) -> Name:
    try:
        database = addresses.split_database(connections.find(connection, home).url)
    except ClearwellError:
        database = None
    if not database:  # not known, or not to be shown
        return f"postgres://{connection}", ".".join(name)
    schema = name if len(name) > 1 else ("public", *name)
    return f"postgres://{database.host}:{database.port}", ".".join((database.name, *schema))


def _files(location: str) -> Name:
    shown = addresses.shown(location)
    scheme, is_address, rest = shown.partition("://")
    if is_address:
        host, _, path = rest.partition("/")
        return f"{scheme}://{host}", unquote(path) or "/"
    if addresses.is_address(location) or shown.startswith("package:"):
        return _FILE, shown
    return _FILE, str(Path(shown).expanduser().absolute())
