"""Kinds of source: how a contract says its kind, and that each kind can land."""

from importlib import import_module
from pathlib import Path

import pytest

from ingestion.contract import every_source, read_contracts
from ingestion.errors import Permanent
from ingestion.fields import Fields
from ingestion.file_settings import Files
from ingestion.kinds import KINDS, kind_of


def fields(**meta: object) -> Fields:
    return Fields({"source": "reviews", "format": "rows", **meta}, Path("staging_reviews.yml"), "reviews")


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_names_a_module_that_lands_and_checks_it(name: str) -> None:
    module = import_module(KINDS[name].module)
    assert callable(module.ingest) and callable(module.check)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_a_test_of_any_order(name: str) -> None:
    assert Path(__file__).with_name(f"test_any_order_of_{name}.py").is_file()


def test_a_setting_implies_its_kind() -> None:
    assert kind_of(fields(location="here.csv")) == "file"
    assert KINDS["file"].settings(fields(location="here.csv"), []) == Files("here.csv")


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({}, "reviews.source does not say where reviews comes from: give `table`, `query`, `location`"),
        ({"kind": "fle", "location": "x"}, "did you mean file"),
        ({"kind": "hours", "location": "x"}, "reviews.location is no setting of a source of kind hours"),
        ({"location": "x", "format": "lines"}, "reviews.format must be one of"),
        ({"source": "decisions", "location": "x"}, "reviews.source is decisions, which Clearwell writes itself"),
    ],
)
def test_a_wrong_setting_names_its_field(meta: dict[str, str], said: str) -> None:
    with pytest.raises(Permanent) as refused:
        kind_of(fields(**meta))
    assert said in str(refused.value)


def test_what_clearwell_writes_itself_has_no_kind() -> None:
    assert kind_of(fields(source="decisions")) is None
    assert every_source(read_contracts()) == ("orders", "clickstream", "exchange_rates")
