"""The tables of docs/tables.md, from a Postgres to the records of a build: changed, deleted, returned, and balanced."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ingestion.contract import Contract, read_contract
from ingestion.home import Home
from tests.pipeline.checkout import ROOT, make_checkout, type_in

PAGE = (ROOT / "docs" / "tables.md").read_text()
TABLES = """
create schema sales;
create table sales."Invoice Heads" ("Invoice No" int primary key, "Total (net)" numeric, created_at timestamp, updated_at timestamptz);
create table sales.lines (invoice_id int, line_number int, primary key (invoice_id, line_number));
create table sales.price_groups (group_id text, discount numeric);
"""
KEYS = """models:
  - name: plan_keys_{dataset}
    description: "One row per touched key and date."
    columns: [{columns}]
"""
RECORDS = """models:
  - name: records_{dataset}
    description: "One row per record."
    config: {{meta: {{apply: {{match: plan_keys_{dataset}, by: [{by}]}}}}}}
    columns: [{columns}]
"""


def columns(names: dict[str, str]) -> str:
    return ", ".join(f'{{name: {name}, data_type: "{type}", description: "x"}}' for name, type in names.items())


def write_models(root: Path, contract: Contract) -> None:
    """Write the three models that every dataset has."""
    models, dataset = root / "dbt_project" / "models", contract.dataset
    types = {column.name: column.type for column in contract.columns}
    keys = {name: types[name] for name in contract.key} | {"record_date": "date"}
    own = {"batch_id": "varchar", "record_no": "bigint", "record_date": "date", "is_deleted": "boolean"}
    (models / "staging" / f"staging_{dataset}.sql").write_text(f"{{{{ parse_records('{dataset}') }}}}\n")
    (models / "plan" / f"plan_keys_{dataset}.sql").write_text(f"{{{{ touched_keys('{dataset}') }}}}\n")
    (models / "plan" / f"plan_keys_{dataset}.yml").write_text(KEYS.format(dataset=dataset, columns=columns(keys)))
    (models / "records" / f"records_{dataset}.sql").write_text(f"{{{{ contest('{dataset}') }}}}\n")
    (models / "records" / f"records_{dataset}.yml").write_text(
        RECORDS.format(
            dataset=dataset,
            by=", ".join(keys),
            columns=columns({**own, **types, "decision": "varchar", "fate": "varchar"}),
        )
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_checkout(tmp_path_factory.mktemp("checkout"), "")
    (yaml,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    head, *datasets = re.split(r"(?=^      - name: )", yaml, flags=re.MULTILINE)
    names = []
    for text in datasets:
        (name,) = re.findall(r"^      - name: (\w+)", text)
        path = root / "dbt_project" / "models" / "staging" / f"staging_{name}.yml"
        path.write_text(head + text)
        write_models(root, read_contract(path))
        names.append(name)
    project = root / "dbt_project" / "dbt_project.yml"
    project.write_text(project.read_text().replace("  datasets: [", f"  datasets: [{', '.join(names)}, "))
    return root


@pytest.fixture(scope="module")
def url(shop: Home) -> str:
    return (shop.shop / "database_url").read_text().strip()


@pytest.fixture(scope="module")
def erp(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLES)
        yield connection


def test_what_stands_after_each_build_is_what_the_tables_hold(
    checkout: Path, url: str, erp: psycopg.Connection[Any]
) -> None:
    def type_all(*commands: str) -> list[str]:
        answers = type_in(checkout, *commands, AIRFLOW_CONN_ERP=url, CLEARWELL_SOURCES="erp")
        assert [status for _, status in answers] == [0] * len(answers), answers
        return [output for output, _ in answers]

    def compare(hour: int, command: str = "ingest erp") -> None:
        window = f"--from 2026-11-01T{hour:02}:00 --to 2026-11-01T{hour + 1:02}:00"
        if command == "sweep":
            window = "--from 2026-11-01 --to 2026-11-02"
        current = "where fate = 'current' and not is_deleted order by all"
        *_, heads, lines, groups = type_all(
            f"clearwell {command} {window}",
            "clearwell build",
            "clearwell ledger --recount",
            f'clearwell sql --json "select invoice_id, amount::varchar from records.invoices {current}"',
            f'clearwell sql --json "select invoice_id, line_number from records.invoice_lines {current}"',
            f'clearwell sql --json "select group_id, discount::varchar from records.price_groups {current}"',
        )

        def rows(answer: str) -> list[tuple[Any, ...]]:
            return [tuple(row.values()) for row in json.loads(answer)]

        def table(query: str) -> list[tuple[Any, ...]]:
            return erp.execute(query).fetchall()  # type: ignore[call-overload,no-any-return]

        assert rows(heads) == table(
            'select "Invoice No"::text, "Total (net)"::numeric(18,4)::text from sales."Invoice Heads" order by 1'
        )
        assert rows(lines) == table("select invoice_id::text, line_number from sales.lines order by 1, 2")
        assert rows(groups) == table(
            "select group_id, discount::numeric(18,4)::text from sales.price_groups order by 1"
        )

    type_all(*(f"clearwell contracts release {name}" for name in ("invoices", "invoice_lines", "price_groups")))
    assert type_all("clearwell sources check") == ["nothing keeps these sources from landing: erp\n"]
    erp.execute(
        """insert into sales."Invoice Heads" values (1, 9.5, '2026-11-01', '2026-11-01Z'), (2, 5, '2026-11-01', '2026-11-01Z');
        insert into sales.lines values (1, 1), (1, 2), (2, 1);
        insert into sales.price_groups values ('a', 0.1), ('b', 0.2)"""
    )
    compare(0)
    erp.execute(
        """update sales."Invoice Heads" set "Total (net)" = 7, updated_at = '2026-11-01T01:10Z' where "Invoice No" = 1;
        delete from sales.lines where line_number = 2;
        update sales.price_groups set discount = 0.05 where group_id = 'a';
        delete from sales.price_groups where group_id = 'b'"""
    )
    compare(1)
    compare(2)
    erp.execute(
        """insert into sales.lines values (1, 2);
        update sales."Invoice Heads" set updated_at = '2026-11-01T03:10Z' where "Invoice No" = 1;
        update sales.price_groups set discount = 0.1; insert into sales.price_groups values ('b', 0.2)"""
    )
    compare(3)
    erp.execute(
        'delete from sales."Invoice Heads" where "Invoice No" = 2; delete from sales.lines where invoice_id = 2'
    )
    compare(4, "sweep")
    counted = "select dataset, event_date::varchar as day, currency, records, landed_records from ops.source_counts order by all"
    counts, differences = type_all(
        f'clearwell sql --json "{counted}"', 'clearwell sql --json "select dataset from ops.differences"'
    )
    assert [list(row.values()) for row in json.loads(counts)] == [
        ["invoice_lines", "2026-11-01", None, 2, 2],
        ["invoices", "2026-11-01", None, 1, 1],
        ["price_groups", "2026-11-01", None, 2, 2],
    ]
    assert json.loads(differences) == []
