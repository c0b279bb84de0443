"""What a stage of a build is, as its messages tell."""

import pytest

from bench import stages
from bench.stages import Stages


def test_a_message_ends_the_stage_that_led_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((float(now), now / 10) for now in (0, 1, 3, 6, 10, 15))
    monkeypatch.setattr(stages, "_now", lambda: next(clock))
    took = Stages()
    for message in (
        "plan: build a: 3 batches enter, 0 leave",
        "transform: starting dbt",
        "transform: models 10 of 100",
        "audit: tests, expectations and accounts",
        "audit: 169 checks, 3 warnings",
        "apply: changing the state, in one transaction",
        "publish: renaming the new file into place for readers",
        "published here",
    ):
        took(message)
    assert {stage: seconds for stage, (seconds, _) in took.took.items()} == {
        "plan": 1,
        "transform": 2,
        "audit": 3,
        "apply": 4,
        "publish": 5,
    }
    assert took.took["publish"][1] == pytest.approx(0.5)
