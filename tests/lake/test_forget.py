"""After `forget`, neither a home nor the lake has the person: no row, no Parquet file, no older snapshot, nothing in the catalog."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingestion import forgotten, lake
from ingestion.home import Home
from ingestion.land import silent
from operations import forget, hashes, ledger
from operations.decide import By
from operations.forget import Person
from tests.lake.conftest import Use, shared
from tests.lake.rows import rows_that_differ
from tests.pipeline import test_forget as of_files
from tests.pipeline.delivery import land_lines
from warehouse import build as warehouse
from warehouse import lake_renewal, lakehouse, state
from warehouse.build import Request, build

pytestmark = pytest.mark.lake

NOW, CANARIES, PERSON = of_files.NOW, of_files.CANARIES, Person(of_files.ID)


@dataclass
class Machines:
    """Two machines with one lake; `stray` is a file that a killed builder left in it, `late` a build that was planned before."""

    first: Home
    second: Home
    stray: Path
    late: str
    snapshots: list[int]


def left_in_lake(home: Home) -> dict[str, list[str]]:
    """Return each place of the lake with a canary: the bytes and the values of its files, its rows, the rows of its catalog."""
    there = lake.read(home.state)
    texts: dict[str, str] = {}
    for path in (one for one in sorted(Path(there.files).rglob("*")) if one.is_file()):
        texts[str(path)] = path.read_bytes().decode("utf-8", "replace") + str(pq.read_table(path).to_pylist())
    texts["rows"] = of_files.everything(home.state)
    with closing(lake.catalog(there)) as catalog:
        for (name,) in catalog.execute("select tablename from pg_tables where schemaname = 'public'").fetchall():
            rows = catalog.execute(f'select * from "{name}"').fetchall()
            texts[name] = str(rows)
            # as Postgres keeps it, deleted rows too
            ((path, is_super),) = catalog.execute(
                f"select current_setting('data_directory') || '/' || pg_relation_filepath('\"{name}\"'), current_setting('is_superuser')"
            ).fetchall()
            catalog.execute("checkpoint")
            texts[f"pages of {name}"] = Path(path).read_bytes().decode("utf-8", "replace") if is_super == "on" else ""
    return {place: hits for place, text in texts.items() if (hits := [one for one in CANARIES if one in text])}


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory, use: Use) -> Iterator[Machines]:
    """Forget the person by a command that is stopped at every step, while another machine has a build under way."""
    root = tmp_path_factory.mktemp("forget")
    home = Home(root / "first", root / "landing")
    of_files.deliver(home)
    (home.root / "forgotten").mkdir()
    second = shared(home, root / "second")
    (second.root / "forgotten").symlink_to(home.root / "forgotten", target_is_directory=True)
    for one in (home, second):
        use(one, "")
    build(home, Request(), NOW)
    land_lines(home, of_files.HOUR + timedelta(hours=1), [of_files.event("h1", "visitor-2", "cust-2")], NOW)
    build(second, Request(), NOW.replace(hour=13))
    land_lines(home, of_files.HOUR + timedelta(hours=2), [of_files.event("h2", "visitor-2", of_files.ID)], NOW)
    of_files.plant(home)
    stray = Path(lake.read(home.state).files) / "records" / "customers" / "ducklake-stray.parquet"
    stray.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"email": [of_files.MAIL]}), stray)
    late = warehouse.plan(second, Request(), NOW.replace(hour=14))
    assert late
    places = left_in_lake(home)  # the test can fail
    assert {one for hits in places.values() for one in hits} == set(CANARIES)
    assert {"rows", "ducklake_table_column_stats"} <= {*places} and sum(one.endswith(".parquet") for one in places) > 2
    machines = Machines(home, second, stray, late.build_id, [one.snapshot for one in lakehouse.builds(home.state)])
    by = By("tester", NOW.replace(hour=15), f"asked by {of_files.MAIL}")
    for module, name in STEPS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, name, of_files.stop)
            with pytest.raises(InterruptedError):
                forget.forget(home, PERSON, by, silent)
    forget.forget(home, PERSON, by, silent)
    yield machines


# Before the build; before the lake's tables are written anew, before the files of older snapshots go, before the catalog is
# written anew; before the publish and before the receipt.
STEPS = (
    (forget.builds, "build"),
    (lake_renewal, "_rewrite"),
    (lake_renewal, "_remove"),
    (lake_renewal, "vacuum"),
    (forget.publish, "publish_state"),
    (forget, "_finish"),
)


def test_nothing_of_the_person_is_left(machines: Machines) -> None:
    assert left_in_lake(machines.first) == {} == of_files.left(machines.first)
    assert not machines.stray.exists()
    values = (of_files.MAIL, of_files.NAME)
    for person in (Person(of_files.ID, values=values), Person(of_files.VISITOR, "visitor_id")):
        assert [one for one in forget.check(machines.first, person) if not one.is_source] == []


def test_one_snapshot_is_left_of_the_last_build(machines: Machines) -> None:
    assert len(machines.snapshots) == 2
    (only,) = lakehouse.builds(machines.first.state)
    assert only.build_id == state.last_build(machines.first.state)
    with closing(lake.catalog(lake.read(machines.first.state))) as catalog:
        assert catalog.execute("select snapshot_id from ducklake_snapshot").fetchall() == [(only.snapshot,)]


def test_the_accounts_balance_and_the_receipt_says_what_went(machines: Machines) -> None:
    assert ledger.recount(machines.first) == ([], True)
    (file,) = (one for one in forgotten.folder(machines.first).glob("*.json") if one.name != "people.json")
    receipt = json.loads(file.read_text())
    assert {one["name"] for one in receipt["databases"]} == {"warehouse.ducklake", "published"}
    assert all(one["sha256_before"] != one["sha256_after"] for one in receipt["databases"])
    assert {*machines.snapshots} <= {*receipt["lake"]["snapshots"]}
    assert str(machines.stray) in receipt["lake"]["files"] and len(receipt["lake"]["files"]) > 10
    assert not any(one in file.read_text() for one in CANARIES)


def test_a_build_that_another_machine_had_planned_is_out_of_date(machines: Machines) -> None:
    with pytest.raises(lakehouse.Overtaken):
        warehouse.transform(machines.second, machines.late)


def test_the_other_machine_is_cleaned_by_the_same_command_and_keeps_the_person_out(machines: Machines) -> None:
    assert of_files.left(machines.second)
    by = By("tester", NOW.replace(hour=16), "asked")
    forget.forget(machines.second, Person(of_files.ID, values=(of_files.MAIL, of_files.NAME)), by, silent)
    assert of_files.left(machines.second) == {} == left_in_lake(machines.first)
    again = [*of_files.PERSONS, of_files.event("h3", "visitor-2", "cust-2")]
    land_lines(machines.second, of_files.HOUR + timedelta(hours=3), again, NOW.replace(hour=17))
    build(machines.second, Request(), NOW.replace(hour=17))
    assert of_files.left(machines.second) == {} == left_in_lake(machines.first)


def test_the_rest_is_what_a_file_would_have(machines: Machines, tmp_path: Path) -> None:
    """The same bronze, built whole in a file."""
    home = shared(machines.first, tmp_path / "file")
    build(home, Request(full=True, reason="compare"), NOW.replace(hour=18))
    assert hashes.read(home) == hashes.read(machines.first)
    differing = rows_that_differ(home.state, machines.first.state)
    assert not [one for one in differing if one.startswith(("records.", "silver.", "gold."))]


def test_a_lake_whose_tables_would_change_is_not_written_anew(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = lakehouse.builds(machines.first.state)
    contents = iter([{"gold.a": (1, 1)}, {"gold.a": (1, 2)}])
    monkeypatch.setattr(lake_renewal.rewrite, "content", lambda *_: next(contents))
    with pytest.raises(Exception, match=r"gold\.a"):
        lake_renewal.renew(machines.first.state, lambda _: None, lambda _: None)
    assert lakehouse.builds(machines.first.state) == before


def test_a_build_that_is_committed_meanwhile_comes_first(machines: Machines) -> None:
    """Here by a change of the row that each build changes, in another connection. What was planned before is planned again."""
    tries = []
    at = NOW.replace(hour=19)
    land_lines(machines.first, of_files.HOUR + timedelta(hours=4), [of_files.event("h4", "visitor-2")], at)
    planned = warehouse.plan(machines.second, Request(), at)
    assert planned

    def overtake(connection: duckdb.DuckDBPyConnection) -> None:
        tries.append(1)
        if len(tries) == 1:
            with state.connect(machines.first.state, read_only=False) as other:
                other.execute("update lake.last_build set build_id = build_id")

    lake_renewal.renew(machines.first.state, overtake, lambda _: None)
    assert len(tries) == 2
    with pytest.raises(lakehouse.Overtaken, match="has been removed"):
        warehouse.transform(machines.second, planned.build_id)
    assert build(machines.second, Request(), at).is_published
