"""What a contract says of a table that is its source: read whole, and each fault named by its field."""

from pathlib import Path

import pytest

from ingestion.contract import read_contracts
from ingestion.errors import Permanent
from ingestion.fields import Fields
from ingestion.kinds import KINDS, kind_of
from ingestion.table_settings import LandsWith, Table


def fields(**meta: object) -> Fields:
    return Fields({"source": "reviews", "format": "rows", **meta}, Path("staging_reviews.yml"), "reviews")


def table(**meta: object) -> Table:
    settings: Table = KINDS["table"].settings(fields(connection="erp", **meta), ["invoice_id", "line"])
    return settings


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("sales.invoices", ("sales", "invoices")),
        ("Invoices", ("Invoices",)),
        ("Sales Dept.Invoice Heads", ("Sales Dept", "Invoice Heads")),
        ('"a.b"."c""d"', ("a.b", 'c"d')),
    ],
)
def test_a_table_is_named_as_the_database_does(text: str, name: tuple[str, ...]) -> None:
    assert kind_of(fields(table=text)) == "table"
    assert table(table=text) == Table("erp", name)


def test_what_lands_with_another_dataset_may_name_one_column_or_several() -> None:
    one = table(table="t", lands_with={"dataset": "heads", "column": "line"})
    assert one.lands_with == LandsWith("heads", ("line",)) and not one.is_whole
    more = table(table="t", lands_with={"dataset": "heads", "column": ["line", "invoice_id"], "matches": "x"})
    assert more.lands_with == LandsWith("heads", ("line", "invoice_id"), ("x",))


@pytest.mark.parametrize(
    "query",
    [
        "select 1;",
        "  with a as (select ';') select * from a",
        "values (1)",
        "select $x$;$x$ -- ;\n",
        "(select 1) /* ; */",
    ],
)
def test_a_query_is_one_select(query: str) -> None:
    assert table(query=query).query == query.strip().removesuffix(";")


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({"table": "a.b", "query": "select 1"}, "table or `query` must be given"),
        ({"table": "a.b.c"}, "must be schema.table"),
        ({"query": "select 1", "pages": 10}, "pages is for a `table`"),
        ({"table": "a", "pages": 0}, "pages must be a whole number from 1"),
        ({"table": "a", "pages": "many"}, "pages must be a whole number from 1"),
        ({"table": "a."}, "must be schema.table"),
        ({"query": "delete from x"}, "must be one statement"),
        ({"query": "select 1; delete from x"}, "must be one statement"),
        ({"table": "a", "connection": "e-r p"}, "must be a plain name"),
        ({"table": "a", "primary": "e-r p"}, "primary must be a plain name"),
        ({"table": "a", "primary": "erp"}, "primary is erp, the connection that is read"),
        ({"table": "a", "lands_with": {"dataset": "x"}}, "lands_with.column is missing"),
        ({"table": "a", "lands_with": {"dataset": "x", "column": "lin"}}, "did you mean line"),
        ({"table": "a", "lands_with": {"dataset": "x", "columns": "line"}}, "did you mean column"),
    ],
)
def test_a_wrong_setting_of_a_table_names_its_field(meta: dict[str, object], said: str) -> None:
    with pytest.raises(Permanent) as refused:
        KINDS["table"].settings(fields(**{"connection": "erp", **meta}), ["invoice_id", "line"])
    assert said in str(refused.value)


def contract(name: str, more: str, columns: str = "id, head, v", version: str = "version_column: v, ") -> str:
    listed = ", ".join(f"{{name: {one}, data_type: varchar}}" for one in columns.split(", "))
    return (
        f"      - name: {name}\n        config: {{meta: {{contract_version: 1, source: erp, format: rows, table: {name}, key: [id], {version}"
        f"cadence: 1 hour, lateness: 1 day, owner: x, {more}}}}}\n        columns: [{listed}]\n"
    )


@pytest.mark.parametrize(
    ("heads", "lines", "said"),
    [
        ("connection: erp", "connection: crm", "lines.connection is crm, but heads of the same source is read from erp"),
        ("connection: erp, primary: a", "connection: erp", "lines.primary is missing, but heads of the same source says a"),
        ("connection: erp, changed: v", "connection: erp, lands_with: {dataset: head, column: head}", "did you mean heads"),
        ("connection: erp, changed: v", "connection: erp, lands_with: {dataset: heads, column: [head, id]}", "as many as"),
        ("connection: erp, changed: v", "connection: erp, lands_with: {dataset: heads, column: head, matches: x}", "names x"),
        ("connection: erp", "connection: erp, lands_with: {dataset: heads, column: head}", "which is read whole"),
        ("connection: erp, changed: v", "connection: erp, lands_with: {dataset: lines, column: head}", "leads back to lines"),
        (
            "connection: erp, lands_with: {dataset: lines, column: head}",
            "connection: erp, lands_with: {dataset: heads, column: head}",
            "leads back to",
        ),
    ],
)  # fmt: skip
def test_the_tables_of_a_source_must_fit_together(tmp_path: Path, heads: str, lines: str, said: str) -> None:
    folder = tmp_path / "models" / "staging"
    folder.mkdir(parents=True)
    text = "sources:\n  - name: bronze\n    tables:\n"
    (folder / "staging_x.yml").write_text(text + contract("heads", heads) + contract("lines", lines))
    with pytest.raises(Permanent) as refused:
        read_contracts(tmp_path)
    assert said in str(refused.value)


def test_a_source_that_is_off_may_have_given_away_some_of_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models" / "staging"
    folder.mkdir(parents=True)
    lines = contract("lines", "connection: erp, lands_with: {dataset: heads, column: head}")
    (folder / "staging_x.yml").write_text("sources:\n  - name: bronze\n    tables:\n" + lines)
    with pytest.raises(Permanent, match="leave erp out of CLEARWELL_SOURCES"):
        read_contracts(tmp_path)
    monkeypatch.setenv("CLEARWELL_SOURCES", "crm until 2026-01-01, more")
    assert list(read_contracts(tmp_path)) == ["lines"]


def test_a_row_that_can_change_needs_a_version(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "staging"
    folder.mkdir(parents=True)
    text = "sources:\n  - name: bronze\n    tables:\n"
    (folder / "staging_x.yml").write_text(text + contract("heads", "connection: erp, placed: v", version=""))
    assert read_contracts(tmp_path)["heads"].version_column is None
    (folder / "staging_x.yml").write_text(text + contract("heads", "connection: erp", version=""))
    with pytest.raises(Permanent, match=r"heads\.version_column is missing"):
        read_contracts(tmp_path)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("{name: id, data_type: 'decimal(18,4)'}", "id.data_type is decimal"),
        ("{name: id, data_type: varchar, config: {meta: {values: {a: b}}}}", "heads.id is a key or a time"),
        ("{name: id, data_type: varchar, config: {meta: {row_id: true}}}", "heads.id is a key or a time"),
        ("{name: id, data_type: bigint, config: {meta: {missing: ['0']}}}", "heads.id is a key or a time"),
    ],
)
def test_a_key_of_a_table_is_read_as_it_is(tmp_path: Path, column: str, said: str) -> None:
    folder = tmp_path / "models" / "staging"
    folder.mkdir(parents=True)
    text = contract("heads", "connection: erp").replace("{name: id, data_type: varchar}", column)
    (folder / "staging_x.yml").write_text("sources:\n  - name: bronze\n    tables:\n" + text)
    with pytest.raises(Permanent) as refused:
        read_contracts(tmp_path)
    assert said in str(refused.value)
