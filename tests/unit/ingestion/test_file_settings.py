"""What a contract says of files that are its source: read whole, and each fault named by its field."""

from pathlib import Path

import pytest

from ingestion.errors import Permanent
from ingestion.fields import Fields
from ingestion.file_settings import Dialect, Files
from ingestion.kinds import KINDS


def fields(**meta: object) -> Fields:
    return Fields({"source": "reviews", "format": "rows", **meta}, Path("staging_reviews.yml"), "reviews")


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


def test_a_list_of_records_is_named_by_its_path() -> None:
    settings = KINDS["file"].settings
    said = {"location": "here/*", "format": "json_lines"}
    assert settings(fields(**said, each="$.order.line_items"), []) == Files("here/*", each="$.order.line_items")
    assert settings(fields(**said, each="$"), []).each == "$"
    for path in ("line_items", "$.items[0]", "$.params[key=a].value"):
        with pytest.raises(Permanent, match=r"reviews\.each is .*, and must be the path of a list by its names"):
            settings(fields(**said, each=path), [])
    with pytest.raises(Permanent, match=r"reviews\.each is for lines of JSON"):
        settings(fields(location="here/*", format="rows", each="$.items"), [])


@pytest.mark.parametrize("location", ["{dat}.csv", "{day}.csv", "{date}/{hours}"])
def test_a_wrong_date_part_names_the_field(location: str) -> None:
    with pytest.raises(Permanent, match=r"contract field reviews\.location has "):
        KINDS["file"].settings(fields(location=location), [])
