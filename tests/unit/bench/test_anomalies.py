"""Simulated shops have each incident once, and what is planted is told."""

from datetime import timedelta

import yaml

from bench.anomalies import FIRST, INCIDENTS, days_of, judge, make_shop
from ingestion.contract import PROJECT


def test_a_shop_of_the_usual_size_has_its_incidents_told_and_hardly_another_day() -> None:
    """Of 200 orders a day, a few dear ones make the share that is refunded anything: four times as many are told of most shops."""
    shop = make_shop(1, 1, 150)
    assert set(shop.incidents) == set(INCIDENTS)
    settings = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]["unusual"]
    alerts = judge(shop.rows, FIRST, 150, settings)
    told = {day for alert in alerts for day in days_of(alert)}
    assert {name for name, when in shop.incidents.items() if not told & when} <= {"four times as many refunds"}
    broken = set().union(*shop.incidents.values())
    assert len({alert.start.date() for alert in alerts if not days_of(alert) & broken}) <= 1


def test_a_young_shop_has_its_only_incident_on_the_day_that_is_asked_for() -> None:
    day = FIRST + timedelta(days=10)
    shop = make_shop(1, 1, 13, incidents=("a day without records",), eventful=range(10, 11))
    assert shop.incidents == {"a day without records": {day}}
    counted = {row[5].date() for row in shop.rows if row[2] == "orders"}
    assert counted == {FIRST + timedelta(days=one) for one in range(13) if one != 10}
    assert make_shop(1, 1, 40, incidents=()).incidents == {}
