"""A YAML file that somebody broke is one clear error, with the file and the line."""

from pathlib import Path

import pytest

from ingestion.errors import Permanent
from ingestion.fields import read_entries, read_yaml
from warehouse.lineage import read_gold
from warehouse.personal import published_silver
from warehouse.version import model_version


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A dbt project in which a bracket of each model's YAML is not closed."""
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
        (b"a: 1\na: 2\n", ":2", "the key a is there twice"),
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
