"""Find what is left of a person in a lake: in its rows, in every file that lies where its files do, and in its catalog."""

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from ingestion import lake
from ingestion.errors import Permanent
from ingestion.sources import s3
from operations.traces import Traces, conditions, find, find_in_parquet
from warehouse import state

_CATALOG = "select tablename from pg_tables where schemaname = any (current_schemas(false)) order by 1"


def search_lake(path: Path, traces: Traces) -> Iterator[tuple[str, str]]:
    """Yield each place with a trace, and where in it. Files of older snapshots, and of none, are searched as well."""
    with state.connect(path) as connection:
        for schema, table, where in conditions(connection, traces):
            if connection.execute(f'select 1 from {schema}."{table}" where {where} limit 1').fetchone():
                yield f"lake {schema}.{table}", "rows"
        files = lake.files(connection, path)
    for place in files:
        if where := _in_s3(place, traces) if s3.is_s3(place) else _in_file(Path(place), traces):
            yield place, where
    # Some rows, and the smallest and largest values of files and tables, are in the catalog itself.
    with closing(lake.catalog(lake.read(path))) as catalog:
        for (name,) in catalog.execute(_CATALOG).fetchall():
            rows = catalog.execute(f'select * from "{name}"')
            if any(traces.are_in(one) for row in rows for one in row if isinstance(one, str | bytes)):
                yield f"the lake's catalog, {name}", "rows"


def _in_file(path: Path, traces: Traces) -> str:
    with suppress(FileNotFoundError):  # removed since it was listed
        return find(path, traces)
    return ""


def _in_s3(place: str, traces: Traces) -> str:
    try:
        with s3.opened(place) as file:
            return find_in_parquet(file, traces)
    except Permanent:
        if s3.look(place) is None:
            return ""
        raise
