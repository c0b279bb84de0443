"""Pages of a real Postgres give what one COPY gives, byte for byte, whatever the key is."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion import bronze, sources
from ingestion.contract import Contract, read_contracts
from ingestion.errors import Permanent, Transient
from ingestion.home import Home
from ingestion.sources import pages
from ingestion.sources.database_rows import Taken, take
from ingestion.sources.deadlines import Limits
from ingestion.sources.postgres import snapshot
from ingestion.sources.table_queries import OpenTable, open_table
from ingestion.window import Window

Database = psycopg.Connection[Any]
AT = datetime(2100, 1, 1, tzinfo=UTC)
PAGED = """
      - name: things
        config: {{meta: {{contract_version: 1, source: erp, format: rows, connection: erp, table: 'p.Some Things', {how},
                 key: [{key}], version_column: changed, event_time: changed, cadence: 1 hour, lateness: 2 days, owner: finance}}}}
        columns:
          - {{name: one, data_type: varchar, config: {{meta: {{from: 'Key 100%'}}}}}}
          - {{name: two, data_type: varchar}}
          - {{name: changed, data_type: timestamp}}
"""


def contracts(folder: Path, how: str, key: str = "one") -> dict[str, Contract]:
    staging = folder / "models" / "staging"
    staging.mkdir(parents=True, exist_ok=True)
    text = "sources:\n  - name: bronze\n    tables:" + PAGED.format(how=how, key=key)
    (staging / "staging_all.yml").write_text(text)
    return read_contracts(folder)


@pytest.fixture
def database(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setenv("AIRFLOW_CONN_ERP", postgres)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(
            "drop schema if exists p cascade; create schema p; create type p.mood as enum ('z', 'a b', 'é')"
        )
        yield connection
        connection.execute("drop schema p cascade")


def create(database: Database, ddl: str) -> None:
    database.execute(f'drop table if exists p."Some Things"; create table p."Some Things" ({ddl})')  # type: ignore[call-overload]


def taken(url: str, folder: Path, contract: Contract, rows: int | None) -> tuple[Taken, list[tuple[Any, ...]]]:
    """Read a table in pages of so many rows, or by one COPY; return also the rows in their Parquet files."""
    folder.mkdir(exist_ok=True, parents=True)
    with snapshot(url) as connection:
        table: OpenTable = open_table(connection, replace(contract, settings=replace(contract.settings, pages=rows)))
        found = take(
            connection, f"select * from {table.sql} as clearwell_rows where %(yes)s", {"yes": True}, folder,
            table=table.label, key=table.key, is_unique=table.is_unique, pages=table.pages(),
        )  # fmt: skip
    read = [tuple(row.values()) for file in found.copied.files for row in pq.read_table(folder / file.name).to_pylist()]
    assert {path.name for path in folder.iterdir()} == {file.name for file in found.copied.files}
    return found, read


texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=4)
plain = st.text("aAbBéÉ'\"%\\,\n ~\t-", max_size=3)
KEYS: dict[str, st.SearchStrategy[Any]] = {
    "text": texts,
    'text collate "pg_unicode_fast"': plain,
    'varchar(9) collate "C"': plain,
    "char(4)": plain,
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "uuid": st.uuids(),
    "numeric": st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9) | st.just("NaN"),
    "timestamptz": st.datetimes(timezones=st.just(UTC)) | st.sampled_from(["infinity", "-infinity", "0044-03-15 12:00Z BC"]),
    "timestamp": st.datetimes(),
    "date": st.dates(date(1, 1, 1)) | st.just("infinity"),
    "boolean": st.booleans(),
    "double precision": st.floats(allow_nan=False).map(lambda number: number + 0.0),
    "p.mood": st.sampled_from(["z", "a b", "é"]),
    "bytea": st.binary(max_size=3),
    "inet": st.ip_addresses(),
}  # fmt: skip


@pytest.mark.parametrize("type", list(KEYS))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_pages_are_the_same_batch_as_one_copy(
    database: Database, postgres: str, tmp_path_factory: pytest.TempPathFactory, type: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("any")
    create(
        database,
        f'rest text, two int not null, "Key 100%" {type} not null, changed timestamptz, unique (two, "Key 100%")',
    )
    rows = data.draw(st.lists(st.tuples(st.integers(0, 2), KEYS[type], st.none() | texts), max_size=9))
    for two, key, rest in rows:
        insert = 'insert into p."Some Things" values (%s, %s, %s, null) on conflict do nothing'
        database.execute(insert, (rest, two, key))
    contract = contracts(folder, "changed: changed", data.draw(st.sampled_from(["one, two", "two, one"])))["things"]
    whole, expected = taken(postgres, folder / "whole", contract, None)
    size = data.draw(st.integers(1, 10))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pages, "GROUP_BYTES", data.draw(st.sampled_from([1, 40, 1 << 20])))
        paged, found = taken(postgres, folder / "paged", contract, size)
    assert found == expected
    assert paged.copied.sha256 == whole.copied.sha256
    assert (paged.counted, paged.copied.records) == (whole.counted, whole.copied.records)


@pytest.mark.parametrize(
    ("encoding", "keys"),
    [
        ("LATIN1", [b"\xe9", b"z", b"\xff", b"'"]),
        ("SQL_ASCII", [b"\xe9", b"z", "é".encode(), b"\xff'%", b"\\"]),
        ("KOI8R", [b"\xc1", b"\xc2", b"\xe1", b"\xd7", b"a", b"\xb3"]),
        ("EUC_JP", ["亜".encode("euc_jp"), "一".encode("euc_jp"), "ー".encode("euc_jp"), b"a"]),
    ],
)
def test_keys_in_other_encodings_are_in_the_servers_order(
    postgres: str, tmp_path: Path, encoding: str, keys: Sequence[bytes]
) -> None:
    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute("drop database if exists odd")
        server.execute(f"create database odd encoding '{encoding}' template template0 lc_collate 'C' lc_ctype 'C'")
    url = postgres.rpartition("/")[0] + "/odd"
    with psycopg.connect(url, client_encoding=encoding, autocommit=True) as odd:
        odd.execute(
            'create schema p; create table p."Some Things" ("Key 100%" text primary key, two int, changed timestamptz)'
        )
        for key in keys:
            odd.execute(
                b"insert into p.\"Some Things\" values (E'%s', 1, null)"
                % key.replace(b"'", b"''").replace(b"\\", b"\\\\")
            )
    contract = contracts(tmp_path, "changed: changed")["things"]
    whole, expected = taken(url, tmp_path / "whole", contract, None)
    for size in (1, 2, 9):
        paged, found = taken(url, tmp_path / str(size), contract, size)
        assert (found, paged.copied.sha256, paged.copied.messages) == (
            expected,
            whole.copied.sha256,
            whole.copied.messages,
        )
    assert len(expected) == len(keys)


def test_a_landing_in_pages_is_the_landing_in_one_piece(database: Database, home: Home, tmp_path: Path) -> None:
    create(database, '"Key 100%" int primary key, two text, changed timestamptz')
    database.execute(
        """insert into p."Some Things" select n, 'x', '2026-11-01'::timestamptz + n * interval '1 minute' from generate_series(1, 3000) as n"""
    )
    days = [("2026-11-01", "2026-11-02"), ("2026-11-02", "2026-11-03")]
    batches = []
    for size in ("", ", pages: 7", ", pages: 100000"):
        own = Home(home.root / size, home.landing)
        declared = contracts(tmp_path, f"changed: changed{size}")
        landings = [sources.ingest("erp", Window.parse(*day), own, AT, contracts=declared) for day in days]
        late = "insert into p.\"Some Things\" values (9999, 'late', '2026-11-01')"
        database.execute(late)  # type: ignore[call-overload]
        landings.append(sources.sweep("erp", Window.parse(*days[1]), own, AT, contracts=declared))
        database.execute("delete from p.\"Some Things\" where two = 'late'")
        assert any(one.part == "" and one.records_written == 1440 for one in bronze.committed(own))
        batches.append(sorted((one.dataset, one.part, one.batch_id) for one in bronze.committed(own)))
    assert batches[0] == batches[1] == batches[2]
    assert "source_counts" in {dataset for dataset, _, _ in batches[0]}


def test_all_pages_are_of_one_snapshot(
    database: Database, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two pages, somebody deletes rows and adds others."""
    create(database, '"Key 100%" int primary key, two text, changed timestamptz')
    database.execute('insert into p."Some Things" select n from generate_series(1, 10) as n')
    read = pages.Pages._read_page

    def disturbed(self: pages.Pages, *arguments: Any) -> Any:
        found = read(self, *arguments)
        database.execute(
            """delete from p."Some Things" where "Key 100%" > 3; insert into p."Some Things" values (0), (99) on conflict do nothing"""
        )
        return found

    monkeypatch.setattr(pages.Pages, "_read_page", disturbed)
    found, rows = taken(postgres, tmp_path / "it", contracts(tmp_path, "changed: changed")["things"], 4)
    assert [row[1] for row in rows] == sorted(map(str, range(1, 11)))
    assert found.counted == 10


def test_each_page_is_a_statement_of_its_own_for_the_timeout(database: Database, postgres: str, tmp_path: Path) -> None:
    """A row takes 50 ms: all of them are too long for one statement, and a page is not."""
    create(database, "one int primary key, two text, changed timestamptz")
    database.execute('insert into p."Some Things" select n from generate_series(1, 40) as n')
    # expensive, so that Postgres computes it for the rows of the page only
    database.execute("""create function p.slow(n int) returns text immutable cost 1000000 language plpgsql
        as $$ begin perform pg_sleep(0.05); return n; end $$""")
    contract = contracts(tmp_path, "changed: changed")["things"]
    contract = replace(contract, columns=tuple(replace(one, source_names=()) for one in contract.columns))
    limits = Limits(statement=1)
    for size, fails in ((None, True), (5, False)):
        folder = tmp_path / str(size)
        folder.mkdir()

        def read(size: int | None = size, folder: Path = folder) -> Taken:
            with snapshot(postgres, limits=limits) as connection:
                table = open_table(connection, replace(contract, settings=replace(contract.settings, pages=size)))
                slow = f"select t.*, p.slow(t.one) as slept from {table.sql} as t"
                return take(
                    connection, slow, {"a": 1}, folder, table="t", key=table.key, is_unique=True, pages=table.pages()
                )

        if fails:
            with pytest.raises(Transient, match="statement timeout"):
                read()
        else:
            assert read().counted == 40


@pytest.mark.parametrize(
    "ddl",
    [
        '"Key 100%" int, two int, changed timestamptz',
        '"Key 100%" int unique, two int, changed timestamptz',
        '"Key 100%" int not null, two int, changed timestamptz, primary key ("Key 100%", two)',
    ],
)
def test_a_table_whose_key_no_index_keeps_unique_is_refused(
    database: Database, home: Home, tmp_path: Path, ddl: str
) -> None:
    create(database, ddl)
    declared = contracts(tmp_path, "changed: changed, pages: 10")
    (problem,) = sources.check("erp", home, declared)
    assert re.search("no unique index of Key 100%, without nulls", problem.what)
    with pytest.raises(Permanent, match="leave `pages` out"):
        sources.ingest("erp", Window.parse("2026-11-01", "2026-11-02"), home, AT, contracts=declared)
