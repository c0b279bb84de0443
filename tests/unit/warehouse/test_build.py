"""A build's steps: their order, what a repeated or failed one leaves, and what is tidied up. Without dbt and its checks."""

import gc
import json
import weakref
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.locks import hold
from tests.pipeline.delivery import ORDER, land_rows
from warehouse import build as building
from warehouse import lakehouse, publish, state
from warehouse.audit import Finding, Refused, Verdict
from warehouse.build import Request
from warehouse.difference import Difference
from warehouse.plan import Build, Plan

NOW = datetime(2026, 11, 3, tzinfo=UTC)
FULL = Request(full=True, reason="test")
DIFFERENCE = Difference("gold.sales", 1, 0, ())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a home in which one batch waits for a build."""
    home = Home(tmp_path / "home", tmp_path / "landing")
    land_rows(home, "orders", ORDER, [dict.fromkeys(ORDER)], NOW)
    return home


def finding(result: str, consequence: str = "") -> Finding:
    return Finding("a_check", result, 1, "m", "[]", consequence)


class Steps:
    """Stand-ins for the steps that need dbt: record that they ran, and leave what the next step looks for."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.reported: list[str] = []
        self.audits: list[tuple[tuple[Finding, ...], dict[str, str]]] = []
        self.held: list[list[Finding]] = []
        for name, step in (
            ("apply", self.apply),
            ("publish_build", lambda made: self.done.append("publish")),
            ("audit_build", self.audit),
            ("differences", lambda made, schemas: self.done.append(f"compare {schemas}") or [DIFFERENCE]),
            ("catch_up", lambda home: self.done.append("catch up")),
        ):
            patch.setattr(building, name, step)
        patch.setattr(building.dbt, "run_models", self.run_models)
        patch.setattr(building.shape, "check_plan", lambda made: ["gold.sales.amount is new"])
        patch.setattr(building.shape, "check_built", lambda made: None)

    def report(self, line: str) -> None:
        self.reported.append(line)

    def run_models(self, made: Build, *more: object, **named: object) -> None:
        self.done.append("models")
        with duckdb.connect(str(made.file)) as file:
            file.execute("create schema plan; create table plan.dates (dataset varchar, record_date date)")
            file.execute(
                "insert into plan.dates values ('orders', '2026-11-01'), ('orders', '2026-11-03'), ('customers', null)"
            )

    def audit(self, made: Build, now: datetime, held: list[Finding]) -> Verdict:
        self.done.append("audit")
        self.held.append([*held])
        found, hold = self.audits.pop(0) if self.audits else ((), {})
        verdict = Verdict(made.build_id, found, hold)
        made.verdict.write_text(json.dumps([asdict(one) for one in found]))
        if verdict.stops:
            raise Refused(verdict)
        return verdict

    def apply(self, made: Build) -> None:
        self.done.append("apply")
        plan = made.plan()
        with duckdb.connect(str(made.home.state)) as connection:
            connection.execute("create schema if not exists ops")
            connection.execute("create table if not exists ops.builds (build_id varchar, build_number bigint)")
            connection.execute("create table if not exists ops.batches (batch_id varchar)")
            connection.execute("insert into ops.builds values (?, ?)", [plan.build_id, plan.number])
            connection.executemany("insert into ops.batches values (?)", [[one] for one in plan.entering])


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return Steps(monkeypatch)


def run(home: Home, steps: Steps, request: Request = Request()) -> building.Outcome:  # noqa: B008
    return building.build(home, request, NOW, steps.report)


def folders(home: Home) -> list[str]:
    return sorted(path.name for path in home.builds.glob("*"))


def test_a_build_does_each_step_once_in_order_and_then_has_nothing_to_do(home: Home, steps: Steps) -> None:
    outcome = run(home, steps)
    assert outcome.plan and outcome.is_published and outcome.verdict
    assert steps.done == ["catch up", "models", "audit", "apply", "publish"]
    assert "gold.sales.amount is new" in steps.reported and f"published {home.published}" in steps.reported
    assert len(outcome.plan.entering) == 1 and folders(home) == [outcome.plan.build_id]
    steps.done.clear()
    assert run(home, steps) == building.Outcome(None)
    assert steps.done == ["catch up"] and steps.reported[-1] == "nothing to build: no new batches"
    assert folders(home) == [outcome.plan.build_id]


def test_a_full_build_makes_both_files_again_and_publishes_nothing_before(home: Home, steps: Steps) -> None:
    run(home, steps, FULL)
    assert "catch up" not in steps.done


def test_a_build_under_a_pin_is_applied_and_not_published(home: Home, steps: Steps) -> None:
    home.published.parent.mkdir()
    publish.write_pin(home, publish.Pin("older", "test", "somebody", NOW.isoformat()))
    outcome = run(home, steps)
    assert "apply" in steps.done and outcome.plan and not outcome.is_published
    assert steps.reported[-1] == "not published: an older state is pinned"


def test_a_dry_run_compares_and_leaves_nothing(home: Home, steps: Steps) -> None:
    outcome = run(home, steps, Request(dry_run=True))
    assert steps.done == ["catch up", "models", "audit", "compare ['gold']"]
    assert outcome.differences == (DIFFERENCE,) and not outcome.is_published
    assert [tuple(row.values()) for row in outcome.dates] == [
        ("customers", None, None, 1),
        ("orders", date(2026, 11, 1), date(2026, 11, 3), 2),
    ]
    assert folders(home) == [] and state.last_build(home.state) == ""


def test_batches_that_fail_a_check_are_held_and_the_rest_is_built_again(home: Home, steps: Steps) -> None:
    first, second = finding("fail", "held"), finding("warn", "held")
    steps.audits = [((first,), {"b1": "a_check"}), ((second,), {"b2": "b_check"}), ((first, second), {})]
    outcome = run(home, steps)
    assert steps.done == ["catch up", *["models", "audit"] * 3, "apply", "publish"]
    assert steps.held == [[], [first], [first, second]]
    assert outcome.plan and Build(home, outcome.plan.build_id).plan().held == {"b1": "a_check", "b2": "b_check"}


def test_what_a_round_leaves_is_collected_before_the_next(
    home: Home, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's own collector rests while a build runs."""

    class OfItself:
        def __init__(self) -> None:
            self.own = self

    left: list[weakref.ref[OfItself]] = []
    there: list[list[bool]] = []

    def audit(made: Build, now: datetime, held: list[Finding]) -> Verdict:
        there.append([one() is not None for one in left])
        left.append(weakref.ref(OfItself()))
        return steps.audit(made, now, held)

    monkeypatch.setattr(building, "audit_build", audit)
    steps.audits = [((finding("fail", "held"),), {"20261101T000000Z": "a_check"})]
    building.build(home, Request(), NOW)
    assert there == [[], [False]]
    assert gc.isenabled()


def test_a_refused_build_is_not_applied_and_keeps_its_files(home: Home, steps: Steps) -> None:
    steps.audits = [((finding("fail", "stopped"),), {})]
    with pytest.raises(Refused):
        run(home, steps)
    assert steps.done == ["catch up", "models", "audit"]
    (name,) = folders(home)
    assert Build(home, name).file.exists() and Build(home, name).verdict.exists()
    with pytest.raises(Refused):
        building.publish(home, name)
    assert "apply" not in steps.done


def test_a_plan_that_the_models_cannot_carry_out_leaves_no_folder(
    home: Home, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Build) -> list[str]:
        raise Permanent("no longer match", todo="a full build")

    monkeypatch.setattr(building.shape, "check_plan", refuse)
    with pytest.raises(Permanent, match="no longer match"):
        building.plan(home, Request(), NOW)
    assert folders(home) == []


def test_steps_of_an_applied_build_may_be_repeated(home: Home, steps: Steps) -> None:
    steps.audits = [((finding("warn"),), {})]
    outcome = run(home, steps)
    assert outcome.plan
    steps.done.clear()
    building.transform(home, outcome.plan.build_id)
    assert building.audit(home, outcome.plan.build_id, NOW).findings == (finding("warn"),)
    assert steps.done == []


def test_no_step_runs_before_the_one_that_it_needs(home: Home, steps: Steps) -> None:
    planned = building.plan(home, Request(), NOW)
    assert planned
    with pytest.raises(Permanent, match="were not built"):
        building.audit(home, planned.build_id, NOW)
    building.transform(home, planned.build_id)
    with pytest.raises(Permanent, match="was not audited"):
        building.publish(home, planned.build_id)
    calls: tuple[Callable[[], Any], ...] = (
        lambda: building.transform(home, ""),
        lambda: building.audit(home, "", NOW),
        lambda: building.publish(home, ""),
    )
    for call in calls:
        with pytest.raises(Permanent, match="no build was planned"):
            call()
    assert steps.done == ["catch up", "models"]


def test_a_transform_that_broke_off_starts_over(home: Home, steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = building.plan(home, Request(), NOW)
    assert planned
    made = Build(home, planned.build_id)
    building.transform(home, planned.build_id)
    building.audit(home, planned.build_id, NOW)

    def stop(build: Build, **_: object) -> None:
        left = (build.file, build.scratch, build.made, build.verdict)
        assert not [path for path in left if path.exists()]
        assert build.empty.exists() and build.home.state.exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(building.dbt, "run_models", stop)
    with pytest.raises(KeyboardInterrupt):
        building.transform(home, planned.build_id)
    assert not made.made.exists()
    with pytest.raises(Permanent, match="were not built"):
        building.audit(home, planned.build_id, NOW)


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (1, [1]),
        (7, [1, 2, 3, 4, 5, 6, 7]),
        (25, [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 25]),
        (97, [*range(9, 97, 9), 97]),
    ],
)
def test_about_every_tenth_model_is_reported_and_the_last(of: int, told: list[int]) -> None:
    reported: list[str] = []
    for count in range(1, of + 1):
        building._report_models(reported.append, count, of)
    counts = [int(line.split()[2]) for line in reported]
    assert counts == told
    assert reported[-1] == f"transform: models {of} of {of}"


def planned(home: Home, build_id: str, base: str, *, is_refused: bool = False) -> Build:
    made = Build(home, build_id)
    made.target.mkdir(parents=True)
    Plan(build_id, base, 1, False, "", NOW.isoformat(), (), ()).save(made.folder)
    for path in (made.file, made.scratch, made.empty, made.target / "manifest.json", made.batches):
        path.touch()
    made.verdict.write_text(json.dumps([asdict(finding("fail", "stopped"))] if is_refused else "[]"))
    return made


def test_large_files_go_unless_a_build_can_still_be_applied_or_was_refused_last(home: Home, steps: Steps) -> None:
    killed = planned(home, "20261101T000000Z-killed", "an older state")
    refused = planned(home, "20261102T000000Z-refused", "an older state", is_refused=True)
    published = planned(home, "20261101T000001Z-published", "an older state")
    following = planned(home, "20261103T000000Z-next", published.build_id)
    for one in building.made_aside(home):
        one.folder.mkdir()
    with hold(home.root / "recount.lock", "rebuilds", steps.report):
        building._tidy(published)
        assert all(one.folder.exists() for one in building.made_aside(home)), "another process uses them"
    building._tidy(published)
    for one, has_files in ((killed, False), (published, False), (refused, True), (following, True)):
        assert {path.exists() for path in (one.file, one.scratch, one.empty, one.target)} == {has_files}, one.build_id
        assert one.is_planned and one.batches.exists() and one.verdict.exists()
    assert not any(one.folder.exists() for one in building.made_aside(home))


def test_what_is_built_aside_is_removed_also_after_an_error(
    home: Home, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(home, steps)
    with duckdb.connect(str(home.state)) as connection:
        for name in ("ledger", "held"):
            connection.execute(f"create table ops.{name} (batch_id varchar, cause varchar, broken_batch_id varchar)")
    before = folders(home)
    steps.done.clear()
    assert building.rebuild_aside(home, NOW) == [DIFFERENCE]
    assert steps.done == ["models", "compare ['records', 'silver', 'gold', 'ops']"] and folders(home) == before

    def stop(build: Build, *_: object, **named: object) -> None:
        assert build in building.made_aside(home) and build.plan().full
        raise Permanent("a broken model", todo="fix it")

    monkeypatch.setattr(building.dbt, "run_models", stop)
    for call in (
        lambda: building.rebuild_aside(home, NOW),
        lambda: building.parse_aside(home, home.root, "orders", [], "select 1", NOW),
    ):
        with pytest.raises(Permanent, match="a broken model"):
            call()
        assert folders(home) == before


def test_a_build_that_another_machine_overtakes_is_planned_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[str] = []
    left = [building.Outcome(None), lakehouse.overtaken("b", "a"), lakehouse.overtaken("c", "b")]

    def step(*_given: Any) -> building.Outcome:
        result = left.pop()
        if isinstance(result, building.Outcome):
            return result
        raise result

    monkeypatch.setattr(building, "_build", step)
    assert building.build(home, Request(), NOW, reported.append) == building.Outcome(None)
    assert [one.endswith("planning again") for one in reported] == [True, True] and not left


def test_a_build_that_is_overtaken_each_time_ends(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def step(*_given: Any) -> building.Outcome:
        tried.append(1)
        raise lakehouse.overtaken("b", "a")

    monkeypatch.setattr(building, "_build", step)
    with pytest.raises(Permanent, match="`clearwell build` plans again"):
        building.build(home, Request(), NOW)
    assert len(tried) == building._TRIES


@pytest.mark.parametrize("error", [Permanent("a model failed"), duckdb.IOException("no such file")])
@pytest.mark.parametrize("by", [None, lakehouse.Overtaken("gone"), Permanent("no catalog")])
def test_an_error_over_a_snapshot_that_is_gone_is_that_of_an_overtaken_build(
    home: Home, steps: Steps, monkeypatch: pytest.MonkeyPatch, error: Exception, by: Exception | None
) -> None:
    def fail(raised: Exception | None) -> Callable[..., None]:
        def act(*_: Any, **__: Any) -> None:
            if raised:
                raise raised

        return act

    planned = building.plan(home, Request(), NOW)
    assert planned
    monkeypatch.setattr(building, "_transform", fail(error))
    monkeypatch.setattr(building.lake, "is_lake", lambda _: True)
    monkeypatch.setattr(building.lakehouse, "check_pinned", fail(by))
    expected = by if isinstance(by, lakehouse.Overtaken) else error
    with pytest.raises(type(expected), match=str(expected)):
        building.transform(home, planned.build_id)
