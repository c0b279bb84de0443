"""A rule's configuration is the same as Great Expectations makes it, also after the rule or an earlier answer has changed."""

from contextlib import nullcontext
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from great_expectations.core import id_dict
from great_expectations.core.expectation_suite import ExpectationSuite
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

from warehouse import expectation_shortcuts, expectations
from warehouse.dbt import Expectation as Rule

RULES: list[tuple[str, dict[str, Any]]] = [
    ("expect_column_values_to_be_between", {"column": "amount", "min_value": 0, "mostly": 0.9}),
    ("expect_column_values_to_be_in_set", {"column": "note", "value_set": ["a", "b"]}),
    ("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "orders", "column_B": "amount"}),
    ("expect_table_row_count_to_be_between", {"min_value": 1, "meta": {"why": "never empty"}}),
]


def rules() -> list[Expectation]:
    return [ExpectationConfiguration(type=name, kwargs=dict(kwargs)).to_domain_obj() for name, kwargs in RULES]


def test_configurations_are_equal_again_and_again() -> None:
    wanted = [one.configuration.to_json_dict() for one in rules()]
    with expectation_shortcuts.taken():
        mine = rules()
        for _ in range(3):
            for one in mine:
                one.configuration.kwargs["mostly"] = 0.1  # of one answer, not of the next
            assert [one.configuration.to_json_dict() for one in mine] == wanted


def test_a_rule_that_changes_has_another_configuration() -> None:
    with expectation_shortcuts.taken():
        rule: Any = rules()[0]
        assert rule.configuration.kwargs["min_value"] == 0
        rule.min_value = 5
        assert rule.configuration.kwargs["min_value"] == 5
        ExpectationSuite(name="all", expectations=[rule])
        rule.id = "1"
        assert rule.configuration.id == "1"


def test_its_own_way_is_back_afterwards() -> None:
    own, to_json = Expectation.configuration, id_dict.convert_to_json_serializable
    with expectation_shortcuts.taken():
        assert Expectation.configuration is not own and id_dict.convert_to_json_serializable is not to_json
    assert Expectation.configuration is own and id_dict.convert_to_json_serializable is to_json


def test_a_key_is_made_of_the_same_values() -> None:
    values: dict[Any, Any] = {
        "text": "a",
        "none": None,
        "yes": True,
        "numbers": [1, 2.5, float("nan"), np.int64(3), np.float64(0.5), np.bool_(True), Decimal("1.50")],
        "nested": {"days": (date(2026, 11, 1), datetime(2026, 11, 1, 2)), 7: {"set": {"a"}}},
        "frame": pd.DataFrame({"orders": [1, None]}),
    }
    keys = [id_dict.IDDict(values), id_dict.IDDict({"a": 1}), id_dict.IDDict()]
    own = [one.to_id() for one in keys]
    wanted = id_dict.convert_to_json_serializable(values)
    with expectation_shortcuts.taken():
        assert [one.to_id() for one in keys] == own
        assert id_dict.convert_to_json_serializable(values) == wanted


def test_outcomes_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"orders": [3, 0, None], "amount": [1.5, -0.5, 2.0], "note": ["a", None, "c"]})
    mine = {"sales": [Rule(name, kwargs) for name, kwargs in RULES if "meta" not in kwargs]}
    short = expectations._validate(mine, {"sales": frame})
    assert [one.success for one in short] == [False, False, False]
    monkeypatch.setattr(expectation_shortcuts, "taken", nullcontext)
    assert expectations._validate(mine, {"sales": frame}) == short
