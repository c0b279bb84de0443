"""Land, retract, restore and replay in any order: tables equal plain Python, and each build restates what it reports."""

import json
import random
from datetime import timedelta
from pathlib import Path

import pytest

from ingestion.home import Home
from operations import decide
from tests.pipeline.delivery import Row, assert_repeats, land_lines, land_rows, pieces
from tests.pipeline.restated import build_and_compare
from tests.pipeline.test_meaning import (
    COLUMNS,
    DAYS,
    FIRST,
    LANDED,
    NOW,
    assert_means,
    expected,
    make_events,
    make_shop,
)
from warehouse.build import Request

# Without these the shop is still complete. Lines without their orders are covered by another test.
RETRACTED = ("customers", "products", "exchange_rates", "clickstream")


class Deliveries:
    """The batches of a shop: still to land, landed, and retracted."""

    def __init__(self, home: Home, pick: random.Random, rows: dict[str, list]) -> None:
        self.home, self.pick = home, pick
        parts = [
            (name, part)
            for name, all_of_it in rows.items()
            for half in pieces(pick, all_of_it)
            for part in halves(half)
        ]
        self.waiting = pick.sample(parts, len(parts))
        self.landed: dict[str, tuple[str, list[Row]]] = {}
        self.gone: set[str] = set()

    def land(self) -> None:
        dataset, part = self.waiting.pop()
        if dataset == "clickstream":
            hour = LANDED + timedelta(hours=len(self.landed))
            batch = land_lines(self.home, hour, [json.dumps(event) for event in part], NOW)
        else:
            batch = land_rows(self.home, dataset, COLUMNS[dataset], part, NOW)
        self.landed[batch] = (dataset, part)

    def retract(self, by: decide.By) -> None:
        there = [
            batch for batch, (dataset, _) in self.landed.items() if dataset in RETRACTED and batch not in self.gone
        ]
        if len(there) > 3:
            batch = self.pick.choice(there)
            decide.retract(self.home, batch, by)
            self.gone.add(batch)

    def restore(self, by: decide.By) -> None:
        if self.gone:
            batch = self.pick.choice(sorted(self.gone))
            decide.restore(self.home, batch, by)
            self.gone.discard(batch)

    def left(self, dataset: str) -> list:
        parts = [part for batch, (name, part) in self.landed.items() if name == dataset and batch not in self.gone]
        return [row for part in parts for row in part]


def halves(things: list) -> list[list]:
    return [part for part in (things[::2], things[1::2]) if part]


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_done(tmp_path: Path, seed: int) -> None:
    pick = random.Random(seed)
    home = Home(tmp_path, tmp_path / "landing")
    some = Deliveries(home, pick, make_shop(seed) | {"clickstream": make_events(seed)})
    minute = 0
    while some.waiting:
        minute += 1
        some.land()
        by = decide.By("tester", NOW + timedelta(minutes=minute), "test")
        if pick.random() < 0.4:
            pick.choice([some.retract, some.retract, some.restore])(by)
        if pick.random() < 0.3:
            first = FIRST + timedelta(days=pick.randrange(DAYS))
            replay = Request(from_date=first, to_date=first + timedelta(days=3), reason="test")
            build_and_compare(home, pick.choice([Request(), Request(), replay]), by.at)
    build_and_compare(home, Request(), NOW + timedelta(days=1))
    shop = {dataset: some.left(dataset) for dataset in COLUMNS}
    assert_means(home, expected(shop, some.left("clickstream")))
    assert_repeats(home, NOW + timedelta(days=2))
