"""Press Airflow's buttons in any order on a real scheduler: nothing unaudited is published, and the state stays right.

The checkout that Airflow runs has an additional check, which stops every build that takes in an order called `poison`.
So there are refused builds, which people will try to push through.
"""

import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pytest

from ingestion.errors import Permanent, Transient
from ingestion.home import Home
from operations import airflow, decide, ledger
from tests.pipeline.checkout import ROOT
from tests.pipeline.delivery import LINE, ORDER, land_lines, land_rows
from warehouse import dbt
from warehouse.build import pending
from warehouse.plan import Build

pytestmark = pytest.mark.long

DAG = "build_warehouse"
STEPS = ("plan", "transform", "audit", "publish", "look_again", "build_again")
STARTED = datetime(2026, 11, 1, tzinfo=UTC)
SETTLES_SECONDS = 900.0
STOPPING = """
{{ config(meta={'on_failure': 'stop'}) }}
select * from {{ ref('silver_orders') }} where order_id = 'poison'
"""


@dataclass
class Desk:
    """An Airflow, and the buttons that a person can press."""

    home: Home
    pick: random.Random
    pressed: list[str] = field(default_factory=list)
    landed: int = 0

    @property
    def api(self) -> Any:
        return airflow.Api(self.home)

    # --- the buttons ---

    def trigger(self, **conf: Any) -> None:
        self._press("POST", f"/dags/{DAG}/dagRuns", {"logical_date": None, "conf": conf})

    def mark(self, run: str, task: str, state: str) -> None:
        self._press("PATCH", f"{self._run(run)}/taskInstances/{task}", {"new_state": state})

    def mark_run(self, run: str, state: str) -> None:
        self._press("PATCH", self._run(run), {"state": state})

    def clear(self, run: str, *tasks: str, downstream: bool = False) -> None:
        body = {"dry_run": False, "dag_run_id": run, "task_ids": list(tasks), "only_failed": False}
        self._press(
            "POST",
            f"/dags/{DAG}/clearTaskInstances",
            {**body, "include_downstream": downstream, "reset_dag_runs": True},
        )

    def clear_run(self, run: str) -> None:
        self._press("POST", f"{self._run(run)}/clear", {"dry_run": False, "only_failed": False})

    def delete(self, run: str) -> None:
        self._press("DELETE", self._run(run))

    def any_button(self) -> None:
        """Press a random button on a random run."""
        runs = self.runs()
        run = self.pick.choice(runs)["dag_run_id"] if runs else ""
        task = self.pick.choice(STEPS)
        button: Callable[[], None] = self.pick.choice(
            [
                self.trigger,
                lambda: self.trigger(full=True, reason="a button"),
                lambda: self.trigger(**{"from": "2026-11-01", "to": "2026-11-02", "reason": "a button"}),
                *[lambda: self.mark(run, task, "success")] * 3,
                lambda: self.mark(run, task, "failed"),
                *[lambda: self.clear(run, task)] * 3,
                lambda: self.clear(run, task, downstream=True),
                lambda: self.clear_run(run),
                lambda: self.mark_run(run, self.pick.choice(["success", "failed", "queued"])),
                lambda: self.delete(run),
            ]
            if run
            else [self.trigger]
        )
        button()

    def _press(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        self.pressed.append(f"{method} {path} {json.dumps(body)}")
        try:
            self.api.ask(method, path, body)
        except (Permanent, Transient) as error:  # Airflow does not offer this button right now
            assert any(code in str(error) for code in ("400", "404", "409", "422")), self.pressed

    # --- the runs ---

    def runs(self) -> list[dict[str, Any]]:
        return self.api.ask("GET", f"/dags/{DAG}/dagRuns?limit=100&order_by=run_after")["dag_runs"]

    def tries(self, run: str, task: str) -> int:
        return self.api.ask("GET", f"{self._run(run)}/taskInstances/{task}/tries")["total_entries"]

    def state(self, run: str, task: str) -> str:
        return self.api.ask("GET", f"{self._run(run)}/taskInstances/{task}")["state"]

    def settle(self) -> None:
        """Wait until no run is active. What can never succeed is not retried, so the wait is short."""
        until = time.monotonic() + SETTLES_SECONDS
        while any(one["state"] in ("queued", "running") for one in self.runs()):
            assert time.monotonic() < until, self.pressed
            time.sleep(0.5)

    def _run(self, run: str) -> str:
        return f"/dags/{DAG}/dagRuns/{quote(run)}"

    # --- the shop ---

    def land(self, *, poison: bool = False) -> str:
        """Land an order with one line, and an event; return the order's batch."""
        self.landed += 1
        name, at = "poison" if poison else f"o{self.landed}", STARTED + timedelta(minutes=self.landed)
        row = dict.fromkeys(ORDER) | {"order_id": name, "customer_id": "c1", "status": "paid", "currency": "EUR"}
        row |= {"total_amount": "5.00", "ordered_at": at.isoformat(sep=" "), "updated_at": at.isoformat(sep=" ")}
        line = dict.fromkeys(LINE) | {"order_id": name, "line_number": "1", "product_id": "p1", "quantity": "2"}
        line |= {"unit_price": "2.50", "updated_at": at.isoformat(sep=" ")}
        batch = land_rows(self.home, "orders", ORDER, [row], at)
        land_rows(self.home, "order_items", LINE, [line], at)
        event = {"event_id": name, "event_type": "click", "event_time": at.isoformat(), "visitor_id": "v1"}
        land_lines(self.home, STARTED + timedelta(hours=self.landed % 24), [json.dumps(event)], datetime.now(UTC))
        return batch

    def retract(self, batch: str) -> None:
        decide.retract(self.home, batch, decide.By("somebody", datetime.now(UTC), "test"))

    def look(self) -> None:
        """Assert that the state and the published file hold only audited builds, and nothing that was refused."""
        for file in (self.home.state, self.home.published):
            if file.exists():
                with duckdb.connect(str(file), read_only=True) as connection:
                    builds = [row[0] for row in connection.sql("select build_id from ops.builds").fetchall()]
                    failed = connection.sql(
                        "select count(*) from ops.findings where consequence = 'stopped'"
                    ).fetchone()
                    poison = (
                        connection.sql("select count(*) from silver.orders where order_id = 'poison'").fetchone()
                        if file == self.home.state
                        else (0,)
                    )
                assert failed == (0,) and poison == (0,), self.pressed
                for build_id in builds:
                    findings = json.loads(Build(self.home, build_id).verdict.read_text())
                    assert findings and not [one for one in findings if one["consequence"] == "stopped"], self.pressed

    def end(self, poison: str) -> None:
        """Retract the poison, build the rest, and assert that the state equals a rebuild from bronze."""
        self.settle()
        self.look()
        self.retract(poison)
        self.trigger()
        self.settle()
        if pending(self.home):  # the last run was one that was marked by hand
            self.trigger()
            self.settle()
        assert not pending(self.home), self.pressed
        self.look()
        assert ledger.recount(self.home) == ([], True), self.pressed
        assert ledger.recompute(self.home, datetime.now(UTC)) == [], self.pressed
        with duckdb.connect(str(self.home.published), read_only=True) as published:
            orders = published.sql("select sum(orders) from gold.daily_revenue").fetchone()
        assert orders == (self.landed - 1,), self.pressed


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Yield a home whose Airflow runs a checkout with the stopping check, and whose first build is published."""
    checkout = tmp_path / "checkout"
    folders = ("cli", "control_room", "dags", "dbt_project", "demo", "ingestion", "operations", "plugins", "warehouse")
    for folder in folders:
        shutil.copytree(
            ROOT / folder, checkout / folder, ignore=shutil.ignore_patterns("target", "logs", "__pycache__")
        )
    (checkout / "dbt_project" / "tests" / "poison_stops.sql").write_text(STOPPING)
    monkeypatch.setattr(airflow, "REPOSITORY", checkout)
    monkeypatch.setattr(dbt, "PROJECT", checkout / "dbt_project")
    home = Home(tmp_path / "home", tmp_path / "home" / "landing")
    seed = int(os.environ.get("BUTTONS_SEED", time.time_ns() % 10**6 if os.environ.get("HYPOTHESIS_PROFILE") else 7))
    print(f"BUTTONS_SEED={seed} presses the same buttons")
    found = Desk(home, random.Random(seed))
    try:
        airflow.start(home)
        airflow.unpause(home, [DAG])
        found.land()
        found.trigger()
        found.settle()
        found.look()
        yield found
    finally:
        airflow.stop(home)


def test_a_refused_build_is_not_pushed_through(desk: Desk) -> None:
    poison = desk.land(poison=True)
    desk.trigger()
    desk.settle()
    run = desk.runs()[-1]["dag_run_id"]
    assert (desk.state(run, "audit"), desk.state(run, "publish")) == ("failed", "upstream_failed")
    # what people try first
    desk.mark(run, "audit", "success")
    desk.settle()  # Airflow clears what had failed for want of the audit: let it run before it is counted
    before = desk.tries(run, "publish")
    desk.clear(run, "publish")
    desk.settle()
    desk.look()
    # it can never succeed, so it is not retried
    assert (desk.state(run, "publish"), desk.tries(run, "publish")) == ("failed", before + 1)
    # the same with a transform marked as successful, and with a run marked as successful and deleted
    desk.mark(run, "transform", "success")
    desk.clear(run, "audit", downstream=True)
    desk.settle()
    desk.mark_run(run, "success")
    desk.look()
    desk.delete(run)
    # clear an old publish: its build is published already, or can never be
    first = desk.runs()[0]["dag_run_id"]
    desk.clear(first, "publish")
    desk.settle()
    desk.clear_run(first)
    desk.settle()
    desk.look()
    desk.end(poison)


def test_any_buttons_in_any_order(desk: Desk) -> None:
    poison = desk.land(poison=True)
    for number in range(int(os.environ.get("BUTTONS", "25"))):
        desk.any_button()
        if number % 5 == 2:
            desk.land()
        # half of the time, the next button is pressed in the middle of a run
        if desk.pick.random() < 0.5:
            desk.settle()
        desk.look()
    desk.end(poison)
