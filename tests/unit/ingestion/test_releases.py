"""Which changes a contract allows once it has been released."""

import shutil
from pathlib import Path

import pytest
import yaml

from ingestion import releases
from ingestion.contract import PROJECT
from ingestion.errors import Permanent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the contracts and their released versions."""
    for part in ("models/staging", "contracts"):
        shutil.copytree(PROJECT / part, tmp_path / part)
    return tmp_path


def change(project: Path, dataset: str, edit) -> None:
    path = project / "models" / "staging" / f"staging_{dataset}.yml"
    body = yaml.safe_load(path.read_text())
    table = body["sources"][0]["tables"][0]
    edit(table, {column["name"]: column for column in table["columns"]})
    path.write_text(yaml.safe_dump(body, sort_keys=False))


def rules(project: Path) -> list[str]:
    return [one.rule for one in releases.check(project)]


def meta(column: dict) -> dict:
    return column.setdefault("config", {}).setdefault("meta", {})


def test_what_is_released_is_what_is_there() -> None:
    assert releases.check(PROJECT) == []


@pytest.mark.parametrize(
    ("edit", "rule"),
    [
        (lambda table, columns: table["columns"].remove(columns["payment_method"]), "removed"),
        (lambda table, columns: columns["total_amount"].update(data_type="varchar"), "retyped"),
        (lambda table, columns: meta(columns["customer_id"]).update(required=True), "newly required"),
        (lambda table, columns: meta(columns["status"])["allowed"].remove("refunded"), "narrowed"),
        (lambda table, columns: meta(columns["payment_method"]).update(allowed=["card"]), "narrowed"),
        (lambda table, columns: meta(columns["total_amount"]).update(min=0), "narrowed"),
        (lambda table, columns: meta(columns["total_amount"]).update(excluded=[0]), "narrowed"),
        (lambda table, columns: meta(columns["currency"]).update(pattern="[A-Z]{3}"), "narrowed"),
        (lambda table, columns: meta(columns["currency"]).update({"from": "Currency Code"}), "renamed at the source"),
        (lambda table, columns: table["config"]["meta"].update(key=["customer_id"]), "identity"),
        (lambda table, columns: table["config"]["meta"].update(dated_key=True), "identity"),
        (lambda table, columns: table["config"]["meta"].update(record_date="updated_at"), "identity"),
        (lambda table, columns: table["config"]["meta"].update(part_of="customers"), "identity"),
        (
            lambda table, columns: table["columns"].append(
                {"name": "channel", "data_type": "varchar", "config": {"meta": {"required": True}}}
            ),
            "newly required",
        ),
    ],
)
def test_a_break_is_named_and_never_released(project: Path, edit, rule: str) -> None:
    change(project, "orders", edit)
    assert rule in rules(project)
    with pytest.raises(Permanent, match="breaks the readers of version 1"):
        releases.release("orders", project)


def test_what_breaks_nobody_is_released_as_the_next_version(project: Path) -> None:
    change(
        project, "orders", lambda table, columns: table["columns"].append({"name": "channel", "data_type": "varchar"})
    )
    change(project, "orders", lambda table, columns: meta(columns["status"])["allowed"].append("archived"))
    change(project, "orders", lambda table, columns: meta(columns["currency"]).update({"from": ["Code", "currency"]}))
    assert rules(project) == ["released"]
    assert releases.release("orders", project) == 2
    assert rules(project) == []
    assert set(releases.released(project, "orders")) == {1, 2}
    with pytest.raises(Permanent, match="no change to release"):
        releases.release("orders", project)
    # the new column is released now, so it may not be removed
    change(project, "orders", lambda table, columns: table["columns"].remove(columns["channel"]))
    assert next((one.rule, one.version) for one in releases.check(project)) == ("removed", 2)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"lateness": "3 days"}, "lateness was 2 days and is 3 days"),
        ({"cadence": "1 day"}, "cadence was 1 hour and is 1 day"),
        ({"expect_records_every": "2 days"}, "expect_records_every was 1 day and is 2 days"),
        ({"breaker": {"share": 0.5}}, "breaker_share was 0.01 and is 0.5"),
        ({"money": {"column": "total_amount", "amount": "2 * total_amount", "currency": "currency"}}, "money was"),
    ],
)
def test_what_changes_how_records_are_taken_is_a_new_version(project: Path, changed: dict, said: str) -> None:
    change(project, "orders", lambda table, columns: table["config"]["meta"].update(changed))
    (found,) = releases.check(project)
    assert found.rule == "released" and said in found.what
    assert releases.release("orders", project) == 2
    assert releases.check(project) == []


def test_where_a_file_comes_from_is_part_of_a_version(project: Path) -> None:
    change(
        project,
        "exchange_rates",
        lambda table, columns: table["config"]["meta"].update(location="/elsewhere/rates.csv"),
    )
    assert ["settings was Files(location=" in one.what for one in releases.check(project)] == [True]


def test_bounds_of_dates_are_compared_as_dates(project: Path) -> None:
    change(project, "exchange_rates", lambda table, columns: meta(columns["rate_date"]).update(min="1999-01-04"))
    assert rules(project) == ["narrowed", "released"]
    with pytest.raises(Permanent, match="allows fewer values"):
        releases.release("exchange_rates", project)


def test_words_may_change_freely(project: Path) -> None:
    change(project, "orders", lambda table, columns: columns["status"].update(description="How far it is."))
    assert releases.check(project) == []
