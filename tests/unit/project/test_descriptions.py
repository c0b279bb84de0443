"""Every column is described, and what several models have is described once, in the blocks of `models/<layer>/<layer>.md`."""

import re
from collections import Counter
from typing import NamedTuple

from ingestion.contract import PROJECT
from ingestion.fields import read_yaml

MODELS = PROJECT / "models"
BLOCKS = {
    name: text.strip()
    for path in MODELS.rglob("*.md")
    for name, text in re.findall(r"{% docs (\w+) %}\n(.*?)\n{% enddocs %}", path.read_text(), re.S)
}


class Column(NamedTuple):
    """A column of a model. `block` is empty if it has its own description."""

    model: str
    name: str
    block: str
    text: str


def read_columns() -> list[Column]:
    found = []
    for path in MODELS.rglob("*.yml"):
        for model in read_yaml(path).get("models", []):
            for one in model.get("columns", []):
                said = one.get("description", "")
                block = re.fullmatch(r"{{ doc\('(\w+)'\) }}", said)
                name = block[1] if block else ""
                found.append(Column(model["name"], one["name"], name, BLOCKS.get(name, "") if block else said))
    return found


COLUMNS = read_columns()


def test_every_column_is_described() -> None:
    assert len(COLUMNS) > 800
    assert [one for one in COLUMNS if not one.text.strip() or "{{" in one.text] == []


def test_a_column_of_one_meaning_is_described_once() -> None:
    texts = Counter((one.name, one.text) for one in {(c.name, c.block): c for c in COLUMNS if c.block}.values())
    texts += Counter((one.name, one.text) for one in COLUMNS if not one.block)
    assert [text for text, times in texts.items() if times > 1] == []


def test_a_block_is_of_several_models_and_its_text_is_its_own() -> None:
    uses = Counter(one.block for one in COLUMNS if one.block)
    assert set(uses) == set(BLOCKS) and [name for name, times in uses.items() if times == 1] == []
    assert [text for text, times in Counter(BLOCKS.values()).items() if times > 1] == []


def test_a_column_that_a_contract_has_is_described_in_its_words() -> None:
    for path in (MODELS / "staging").glob("*.yml"):
        (table,) = read_yaml(path)["sources"][0]["tables"]
        contract = {one["name"]: one["description"] for one in table["columns"]}
        ours = {one.name: one.text for one in COLUMNS if one.model == f"staging_{table['name']}"}
        assert {name: ours[name] for name in contract} == contract
