"""Kinds of source: how a contract says its kind, and that each kind can land."""

from importlib import import_module
from pathlib import Path

import pytest

from ingestion.contract import every_source, read_contracts
from ingestion.errors import Permanent
from ingestion.fields import Fields
from ingestion.kinds import KINDS, Dialect, Files, kind_of


def fields(**meta: object) -> Fields:
    return Fields({"source": "reviews", "format": "rows", **meta}, Path("staging_reviews.yml"), "reviews")


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_names_a_module_that_lands_it(name: str) -> None:
    assert callable(import_module(KINDS[name].module).ingest)


def test_a_setting_implies_its_kind() -> None:
    assert kind_of(fields(location="here.csv")) == "file"
    assert KINDS["file"].settings(fields(location="here.csv"), []) == Files("here.csv")


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({}, "reviews.source does not say where reviews comes from: give `location`"),
        ({"kind": "fle", "location": "x"}, "did you mean file"),
        ({"kind": "shop", "location": "x"}, "reviews.location is no setting of a source of kind shop"),
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


def dialect(**csv: object) -> Dialect:
    found = KINDS["file"].settings(fields(location="here.csv", csv=csv), [])
    assert isinstance(found, Files)
    return found.csv


def test_a_dialect_says_what_differs_from_commas_and_quotes() -> None:
    assert dialect() == Dialect(",", '"', None, "utf-8", ())
    assert dialect(delimiter="\t", quote="none", escape="\\") == Dialect("\t", None, "\\")
    assert dialect(encoding="Latin-1", header=["a", "b c"]) == Dialect(encoding="Latin-1", header=("a", "b c"))


@pytest.mark.parametrize(
    ("csv", "said"),
    [
        ({"delimeter": ";"}, "reviews.csv.delimeter is not known; did you mean delimiter?"),
        ({"delimiter": ";;"}, "reviews.csv.delimiter must be one character"),
        ({"delimiter": "\\t"}, 'a tab is "\\t", in double quotes'),
        ({"delimiter": 1}, "reviews.csv.delimiter must be text"),
        ({"delimiter": "\n"}, "must be one character"),
        ({"quote": ","}, "reviews.csv.delimiter must differ"),
        ({"quote": "nothing"}, 'or "none" if nothing is quoted'),
        ({"encoding": "latin-one"}, "reviews.csv.encoding is 'latin-one', which is no text encoding"),
        ({"encoding": "base64"}, "is no text encoding"),
        ({"encoding": "punycode"}, "is no text encoding"),
        ({"encoding": "utf-7"}, "is no text encoding"),
        ({"header": []}, "reviews.csv.header must list"),
        ({"header": ["a", "a"]}, "reviews.csv.header must list"),
        ({"header": ["a", True]}, "reviews.csv.header must be text"),
        ({"header": "a"}, "reviews.csv.header must be a list"),
    ],
)
def test_a_wrong_dialect_names_its_field(csv: dict[str, object], said: str) -> None:
    with pytest.raises(Permanent) as refused:
        dialect(**csv)
    assert said in str(refused.value)


def test_how_rows_are_written_is_nothing_for_lines() -> None:
    settings = KINDS["file"].settings
    assert settings(fields(location="here/*", format="json_lines"), []) == Files("here/*")
    for field, value in (("csv", {}), ("unpivot", ["a", "b", "c"])):
        with pytest.raises(Permanent, match=f"reviews.{field} says how rows are written, but the format is json_lines"):
            settings(fields(location="here/*", format="json_lines", **{field: value}), ["a", "b", "c"])


@pytest.mark.parametrize("location", ["{dat}.csv", "{day}.csv", "{date}/{hours}"])
def test_a_wrong_date_part_names_the_field(location: str) -> None:
    with pytest.raises(Permanent, match=r"contract field reviews\.location has "):
        KINDS["file"].settings(fields(location=location), [])
