"""Each field of a YAML mapping is read for what it is, or refused by an error that names the file and the field."""

from datetime import timedelta
from pathlib import Path

import pytest

from ingestion.errors import Permanent
from ingestion.fields import Fields, guess, parse_duration, say_duration

META = {
    "key": ["id"],
    "owner": "me",
    "share": 0.25,
    "n": 3,
    "flag": True,
    "lateness": "2 days",
    "time": "at",
    "empty": " ",
}
FIELDS = Fields(META, Path("orders.yml"), "orders")


def test_fields_are_read() -> None:
    assert (FIELDS.text("owner"), FIELDS.text_or_none("nothing"), FIELDS.has("owner")) == ("me", None, True)
    assert (FIELDS.whole("n"), FIELDS.flag("flag"), FIELDS.flag("other"), FIELDS.share("share", 0.1)) == (
        3,
        True,
        False,
        0.25,
    )
    assert FIELDS.share("other", 0.1) == 0.1
    assert (FIELDS.names("key", ["id"]), FIELDS.column("time", ["at"])) == (("id",), "at")
    assert (FIELDS.column_or_none("other", ["at"]), FIELDS.one_of("owner", ["me", "you"])) == (None, "me")
    assert FIELDS.duration("lateness") == timedelta(days=2)


@pytest.mark.parametrize(
    ("read", "field", "said"),
    [
        (lambda one: one.text("nothing"), "nothing", "is missing"),
        (lambda one: one.text("empty"), "empty", "is empty"),
        (lambda one: one.text("flag"), "flag", "write it in quotes"),
        (lambda one: one.whole("share"), "share", "whole number"),
        (lambda one: one.whole("flag"), "flag", "whole number"),
        (lambda one: one.flag("n"), "n", "true or false"),
        (lambda one: one.share("n", 0), "n", "from 0 to 1"),
        (lambda one: one.names("owner", ["me"]), "owner", "list of columns"),
        (lambda one: one.names("key", ["idd"]), "key", "did you mean idd?"),
        (lambda one: one.column("time", ["when"]), "time", "is no column"),
        (lambda one: one.one_of("owner", ["you"]), "owner", "must be one of you"),
        (lambda one: one.duration("owner"), "owner", "not a duration"),
        (lambda one: one.only(["key"]), "owner", "Known are: key"),
    ],
)
def test_what_is_wrong_names_file_and_field(read, field: str, said: str) -> None:
    with pytest.raises(Permanent) as failure:
        read(FIELDS)
    assert (
        f"orders.{field} " in str(failure.value) and "orders.yml" in str(failure.value) and said in str(failure.value)
    )


@pytest.mark.parametrize("length", [timedelta(days=1), timedelta(days=3), timedelta(hours=1), timedelta(minutes=90)])
def test_a_duration_is_written_as_it_is_read(length: timedelta) -> None:
    assert parse_duration(say_duration(length)) == length


@pytest.mark.parametrize("text", ["", "2", "days", "0 days", "-1 day", "1 week", "99999999999999 days", None])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_a_guess_needs_something_near() -> None:
    assert (guess("latenes", ["lateness", "owner"]), guess("x", ["lateness"])) == ("; did you mean lateness?", "")
