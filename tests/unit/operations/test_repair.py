"""Each kind of damage is repaired from what is sound, and what cannot be is named with the next step. Without builds."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from ingestion import bronze, lake
from ingestion.bronze import BatchRef
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import silent
from ingestion.manifest import Manifest
from ingestion.sources import decisions
from ingestion.sources.decisions import Target
from operations import repair
from operations.damage import Damage
from tests.pipeline.delivery import ORDER, land_lines, land_rows
from warehouse import publish, state
from warehouse.plan import batch_lines

HOUR = datetime(2026, 11, 1, 10, tzinfo=UTC)
FIRST, LATER = datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)
EVENT = '{"event_id": "e1", "event_type": "click", "event_time": "2026-11-01T10:00:00Z", "visitor_id": "v1"}'


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", tmp_path / "landing")


def clicks(home: Home, hour: datetime = HOUR) -> Manifest:
    return bronze.find_manifest(home, land_lines(home, hour, [EVENT], FIRST))


def take(home: Home, manifest: Manifest) -> None:
    """Make a state that has taken a batch."""
    with duckdb.connect(str(home.state)) as connection:
        connection.execute("create schema ops")
        connection.execute("""
            create table ops.batches (
                dataset varchar, batch_id varchar, source varchar, window_date date, window_start timestamp, window_end timestamp
            )
        """)
        window = manifest.window
        connection.execute(
            "insert into ops.batches values (?, ?, ?, ?, ?, ?)",
            [
                *(manifest.dataset, manifest.batch_id, manifest.source, window.date),
                *(window.start.replace(tzinfo=None), window.end.replace(tzinfo=None)),
            ],
        )


def keep_copy(home: Home, *manifests: Manifest) -> None:
    """Leave copies of manifests, as plans keep them, after a line that cannot be read."""
    folder = home.builds / "20261102T000000Z-build"
    folder.mkdir(parents=True)
    damaged = "".join(f'{{"batch_id": "{one.batch_id}"\n' for one in manifests)
    (folder / "batches.jsonl").write_text(damaged + "".join(batch_lines(home, manifests, frozenset())))


def folder_of(home: Home, manifest: Manifest) -> Path:
    return bronze.batch_folder(home, bronze.reference(manifest))


def run(home: Home, *found: Damage) -> list[str]:
    return repair.repair(home, found, LATER, silent)


def damage(home: Home, manifest: Manifest) -> Damage:
    return Damage("batch", folder_of(home, manifest), "damaged", bronze.reference(manifest))


def put_aside(home: Home) -> list[str]:
    """List what was moved to `broken/`, by its path, without the files that say why."""
    return sorted(json.loads(path.read_text())["was"] for path in home.broken.rglob("*.reason.json"))


def assert_whole(home: Home, manifest: Manifest) -> None:
    found = bronze.read_manifest(home, bronze.reference(manifest))
    bronze.verify(home, found)
    assert found == manifest


def test_a_manifest_is_restored_from_the_copy_of_a_build(home: Home) -> None:
    manifest = clicks(home)
    # another batch of the same snapshot names this one too
    other = replace(clicks(home, HOUR + timedelta(hours=1)), snapshot_batches={"this": manifest.batch_id})
    keep_copy(home, replace(other, batch_id="0"), manifest)
    (folder_of(home, manifest) / bronze.MANIFEST).write_text("{")
    shutil.rmtree(home.landing)
    assert run(home, damage(home, manifest)) == []
    assert_whole(home, manifest)
    assert put_aside(home) == [str((folder_of(home, manifest) / bronze.MANIFEST).relative_to(home.root))]


@pytest.mark.parametrize("has_copy", [True, False])
@pytest.mark.parametrize("is_taken", [True, False])
def test_a_damaged_file_is_landed_again_as_the_same_batch(home: Home, is_taken: bool, has_copy: bool) -> None:
    manifest = clicks(home)
    if not has_copy:  # its window is not known: the day lands, by the hour because the other hours did
        for number in range(1, 14):
            clicks(home, HOUR + timedelta(hours=number))
    if has_copy:
        keep_copy(home, manifest)
    if is_taken:
        take(home, manifest)
    (folder_of(home, manifest) / "part-0.parquet").write_bytes(b"PAR1")
    if not has_copy:
        (folder_of(home, manifest) / bronze.MANIFEST).unlink()
    assert run(home, damage(home, manifest)) == []
    assert_whole(home, manifest if has_copy else replace(manifest, landed_at=LATER))
    assert put_aside(home) == [str(folder_of(home, manifest).relative_to(home.root))]


def change_source(home: Home) -> None:
    (path,) = home.landing.rglob("*.jsonl")
    path.write_text(EVENT.replace("e1", "e2") + "\n")


def test_a_waiting_batch_whose_source_has_changed_is_left_out(home: Home) -> None:
    manifest = clicks(home)
    (folder_of(home, manifest) / "part-0.parquet").unlink()
    change_source(home)
    assert run(home, damage(home, manifest)) == []
    (landed,) = bronze.committed(home)
    assert landed.batch_id != manifest.batch_id and landed.window == manifest.window


def test_a_waiting_batch_without_a_source_is_named(home: Home) -> None:
    manifest = bronze.find_manifest(home, land_rows(home, "orders", ORDER, [dict.fromkeys(ORDER)], FIRST))
    bronze.write_manifest(folder_of(home, manifest), replace(manifest, source="corrections"))
    (folder_of(home, manifest) / "part-0.parquet").unlink()
    (left,) = run(home, damage(home, manifest))
    assert (
        manifest.batch_id in left and "is set aside" in left and "the source corrections cannot be read again" in left
    )
    assert not folder_of(home, manifest).exists()


@pytest.mark.parametrize("has_manifest", [True, False])
def test_a_taken_batch_that_cannot_be_landed_again_stays_and_is_named(home: Home, has_manifest: bool) -> None:
    manifest = clicks(home)
    take(home, manifest)
    (folder_of(home, manifest) / "part-0.parquet").write_bytes(b"PAR1")
    if not has_manifest:
        (folder_of(home, manifest) / bronze.MANIFEST).write_text("{")
    change_source(home)
    (left,) = run(home, damage(home, manifest))
    assert "Its records stay in the state" in left
    assert (f"clearwell batches retract {manifest.batch_id}" in left) is has_manifest
    assert (folder_of(home, manifest) / "part-0.parquet").read_bytes() == b"PAR1"
    assert put_aside(home) == []


def test_a_retracted_batch_needs_no_repair(home: Home) -> None:
    manifest = clicks(home)
    decisions.land(home, [decisions.withdraw(Target("clickstream", manifest.batch_id), "test", "me", FIRST)])
    (folder_of(home, manifest) / "part-0.parquet").write_bytes(b"PAR1")
    assert run(home, damage(home, manifest)) == []
    assert put_aside(home) == []


def decided(home: Home, made: Sequence[decisions.Decision]) -> Manifest:
    """Land decisions, and make a state that has taken them."""
    manifest = decisions.land(home, made)
    take(home, manifest)
    with duckdb.connect(str(home.state)) as connection:
        connection.execute("create schema records")
        connection.execute(f"""
            create table records.decisions as
            select * exclude (target_record_no, correcting_record_no, decided_at), '{manifest.batch_id}' as batch_id,
                target_record_no::bigint as target_record_no, correcting_record_no::bigint as correcting_record_no,
                timezone('UTC', decided_at::timestamptz) as decided_at
            from read_parquet('{folder_of(home, manifest)}/*.parquet')
        """)
    return manifest


MADE = (
    decisions.withdraw(Target("orders", "b1"), "bad export", "somebody", FIRST),
    decisions.keep(Target("orders", "b2", 7), 'it\'s "right"', "somebody", FIRST),
    decisions.correct(Target("orders", "b3", 8), Target("orders", "b4", 1), "typo", "somebody", FIRST),
)


def test_decisions_come_from_the_state(home: Home) -> None:
    manifest = decided(home, MADE)
    before = decisions.standing(home)
    shutil.rmtree(folder_of(home, manifest))
    assert decisions.standing(home) == {} != before
    assert run(home, damage(home, manifest)) == []
    assert decisions.standing(home) == before
    assert_whole(home, manifest)


def test_decisions_that_no_state_has_are_named(home: Home) -> None:
    manifest = decisions.land(home, MADE)
    (folder_of(home, manifest) / "part-0.parquet").unlink()
    (left,) = run(home, damage(home, manifest))
    assert "decisions cannot be landed again" in left


@pytest.mark.parametrize("kind", ["kept", "build"])
def test_what_is_not_needed_is_set_aside(home: Home, kind: str) -> None:
    path = home.builds / "b1" if kind == "build" else publish._kept(home) / "b1.duckdb"
    path.parent.mkdir(parents=True)
    if kind == "build":
        path.mkdir()
        (path / "plan.json").write_text("{")
    else:
        path.write_bytes(b"garbage")
    assert run(home, Damage(kind, path, "damaged")) == []
    assert not path.exists() and put_aside(home) == [str(path.relative_to(home.root))]


def test_damage_that_is_gone_by_now_is_left_alone(home: Home) -> None:
    path = home.builds / "b1"
    path.mkdir(parents=True)
    assert run(home, Damage("build", path, "was being written")) == []
    assert path.exists() and put_aside(home) == []


def built(path: Path, build_id: str, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema ops; create schema gold")
        connection.execute(f"create table ops.builds as select '{build_id}' as build_id, {number} as build_number")
        connection.execute(f"create table gold.sales as select {number} as amount")


def test_a_damaged_pin_is_written_again_if_readers_have_an_older_state(home: Home) -> None:
    pin = publish._pin(home)
    built(home.state, "b2", 2)
    built(home.published, "b1", 1)
    pin.write_text("{")
    assert run(home, Damage("pin", pin, "damaged")) == []
    found = publish.read_pin(home)
    assert found and (found.build_id, found.pinned_by) == ("b1", "repair")
    home.published.unlink()
    built(home.published, "b2", 2)
    pin.write_text("{")
    assert run(home, Damage("pin", pin, "damaged")) == []
    assert publish.read_pin(home) is None


def test_a_damaged_published_file_is_published_again_from_the_state(home: Home) -> None:
    built(home.state, "b2", 2)
    home.published.parent.mkdir(parents=True)
    home.published.write_bytes(b"garbage")
    assert run(home, Damage("published", home.published, "damaged")) == []
    assert state.last_build(home.published) == "b2"
    assert put_aside(home) == [str(home.published.relative_to(home.root))]


def test_damage_is_repaired_in_the_order_in_which_things_are_made(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    day = FIRST.date()
    found = [
        *(Damage(kind, home.root / kind, "") for kind in ("kept", "published", "state")),
        Damage("batch", home.root, "", BatchRef("orders", day, "b1")),
        Damage("batch", home.root, "", BatchRef("decisions", day, "d1")),
        *(Damage(kind, home.root / kind, "") for kind in ("build", "pin")),
    ]
    monkeypatch.setattr(repair, "is_still", lambda *_: True)
    monkeypatch.setattr(repair, "set_aside", lambda _, path, __: path)
    order: list[str] = []
    monkeypatch.setattr(repair, "_repair_one", lambda _, one, *__: order.append(one.name) or "")
    assert run(home, *found) == []
    assert order == ["pin", "build", "d1", "b1", "state", "published", "kept"]


def test_a_lake_whose_catalog_is_damaged_is_left_where_it_is_and_told(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> str:
        raise Permanent("no catalog")

    monkeypatch.setattr(repair.lakehouse, "last", fail)
    lake.write(home.lake, lake.Lake("lakes", "/files"))
    one = Damage("state", home.state, "a file is gone")
    assert repair._clear_state(home, [one]) == []
    told = repair._repair_one(home, one, [], HOUR, silent)
    assert "a file is gone" in told and f"rm {home.lake}" in told and home.lake.exists()


def test_a_lake_without_batches_to_build_it_from_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair.lakehouse, "last", lambda _: "b1")
    monkeypatch.setattr(repair, "_remember", lambda *_: False)
    lake.write(home.lake, lake.Lake("lakes", "/files"))
    told = repair._repair_one(home, Damage("state", home.state, "a file is gone"), [], HOUR, silent)
    assert "restore bronze" in told and not (home.root / "repair").exists()
