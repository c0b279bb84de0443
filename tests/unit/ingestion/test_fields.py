"""Each field of a YAML mapping is read for what it is, or refused by an error that names the file and the field."""

from datetime import timedelta
from pathlib import Path

import pytest

from ingestion.errors import Permanent
from ingestion.fields import Fields, guess, parse_duration, read_entries, read_yaml, say_age, say_duration
from warehouse.lineage import read_gold
from warehouse.personal import published_silver
from warehouse.version import model_version

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
        (lambda one: one.column("time", ["when"]), "time", "is not a column"),
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


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Return a dbt project in which each model's YAML has an unclosed bracket."""
    (tmp_path / "dbt_project.yml").write_text("name: clearwell\n")
    for layer in ("silver", "gold"):
        folder = tmp_path / "models" / layer
        folder.mkdir(parents=True)
        (folder / f"{layer}_orders.yml").write_text("models:\n  - name: x\n    config: {meta: {\n")
    return tmp_path


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"a: 1\nb: [1, 2\nc: 3\n", ":3", "not YAML"),
        (b"a: 1\na: 2\n", ":2", "the key a appears twice"),
        (b"a: \xff\n", "", "not UTF-8"),
    ],
)
def test_what_is_no_yaml_names_file_and_line(tmp_path: Path, content: bytes, line: str, said: str) -> None:
    path = tmp_path / "one.yml"
    path.write_bytes(content)
    with pytest.raises(Permanent, match=said) as caught:
        read_yaml(path)
    assert caught.value.where == f"{path}{line}"


@pytest.mark.parametrize("text", ["models: 7\n", "models: [x]\n", "- a\n"])
def test_what_is_no_list_of_mappings_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "one.yml"
    path.write_text(text)
    with pytest.raises(Permanent, match="models must be a") as caught:
        read_entries(path, "models")
    assert caught.value.where == str(path)


def test_whoever_reads_the_models_tells_it_status_included(broken: Path) -> None:
    for read in (published_silver, model_version, lambda project: list(read_gold(project))):
        with pytest.raises(Permanent, match=r"not YAML.*_orders.yml:\d"):
            read(broken)


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (timedelta(seconds=5), "0 min"),
        (timedelta(hours=4, minutes=5), "4 h 5 min"),
        (timedelta(days=2, minutes=5), "2 d 5 min"),
        (timedelta(days=2, hours=3, minutes=5), "2 d 3 h"),
    ],
)
def test_an_age_is_said_in_two_units(age: timedelta, said: str) -> None:
    assert say_age(age) == said
