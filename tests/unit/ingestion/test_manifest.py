import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ingestion.errors import Broken, Permanent
from ingestion.manifest import CHECKSUM, OF_PLAN, File, Input, Manifest, Waiting, Whole, still_waiting
from ingestion.window import Window

MANIFEST = Manifest(
    dataset="clickstream",
    batch_id="b1",
    source="clickstream",
    window=Window.parse("2026-11-01T10:00", "2026-11-01T11:00"),
    contract_version=1,
    landed_at=datetime(2026, 11, 1, 11, 5, tzinfo=UTC),
    counted_by_source=2,
    records_written=2,
    snapshot_id="s1",
    snapshot_batches={"clickstream": "b1"},
    files=(File("part-0.parquet", 10, "aa"), File("part-1.parquet", 5, "bb")),
    columns=("a",),
    inputs=(Input("2026-11-01/10/a.jsonl", 7, "cc", 2, 99),),
    waiting=(Waiting("2026-11-01/10/b.jsonl", "still being written"),),
    resolved=("2026-11-01/10/c.jsonl",),
)


def test_a_manifest_comes_back_as_it_was():
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST
    assert MANIFEST.bytes == 15
    whole = replace(MANIFEST, whole=Whole("dd", 9, "b0"))
    assert Manifest.from_json(whole.to_json()) == whole
    assert '"whole"' not in MANIFEST.to_json()


def test_a_manifest_altered_into_another_one_is_named():
    body = json.loads(MANIFEST.to_json())
    others = {
        "batch_id": "b2",
        "window_end": "2026-11-01T12:00:00Z",
        "records_written": 1,
        "snapshot_batches": {},
        "resolved": [],
    }
    others |= {"files": [], "inputs": [{**body["inputs"][0], "records": 3}], "part": "gone", CHECKSUM: "0" * 64}
    for name, value in others.items():
        with pytest.raises(Broken, match="changed after it was written"):
            Manifest.from_json(json.dumps(body | {name: value}), where="here")
    for name in body.keys() - {CHECKSUM}:
        with pytest.raises(Broken, match="changed after it was written"):
            Manifest.from_json(json.dumps({key: value for key, value in body.items() if key != name}))


def test_a_manifest_may_be_laid_out_anew_copied_by_a_plan_or_have_no_checksum():
    body = json.loads(MANIFEST.to_json())
    of_plan = dict.fromkeys(OF_PLAN, True)
    for text in (json.dumps(body, sort_keys=True), json.dumps(body | of_plan)):
        assert Manifest.from_json(text) == MANIFEST
    del body[CHECKSUM]
    assert Manifest.from_json(json.dumps(body)) == MANIFEST


def test_an_unreadable_manifest_is_named():
    with pytest.raises(Permanent, match="here"):
        Manifest.from_json("{}", where="here")


def at(hour: int, **said: object) -> Manifest:
    nothing: dict[str, object] = {"inputs": (), "waiting": (), "resolved": ()}
    return replace(MANIFEST, landed_at=datetime(2026, 11, 2, hour, tzinfo=UTC), **(nothing | said))  # type: ignore[arg-type]


def test_a_file_waits_until_it_lands_or_is_gone():
    left = Waiting("x", "truncated")
    waits = at(1, waiting=(left,))
    assert still_waiting([waits]) == (left,)
    assert still_waiting([waits, at(2, inputs=(Input("x", 1, "", 1),))]) == ()
    assert still_waiting([at(2, resolved=("x",)), waits]) == ()


def test_a_file_can_wait_again():
    left = Waiting("x", "truncated")
    assert still_waiting([at(1, waiting=(left,)), at(2, resolved=("x",)), at(3, waiting=(left,))]) == (left,)
