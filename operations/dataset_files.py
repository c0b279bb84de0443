"""The files of a new dataset, as docs/new-dataset.md shows them: its contract, its models and the YAML beside them."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

import yaml

from ingestion.errors import Permanent
from operations.propose import Proposal, ProposedColumn, settings
from operations.samples import JSON_LINES

PROJECT_FILE = "dbt_project.yml"
_LISTED = re.compile(r"^(  datasets:[ ]*)\[([^\]]*)\]", re.MULTILINE)
_ROW_BY_ROW = re.compile(r"^  datasets:[ ]*\n((?:[ ]+- .*\n)+)", re.MULTILINE)


def files(proposal: Proposal) -> dict[PurePosixPath, str]:
    """Return the text of each new file, by its path in the dbt project."""
    name = proposal.asked.name
    dates = {f"plan/plan_{name}_dates.sql": _plan_dates_sql, f"plan/plan_{name}_dates.yml": _plan_dates_yml}
    makers = {
        f"staging/staging_{name}.yml": _staging_yml,
        f"staging/staging_{name}.sql": lambda _: f"{{{{ parse_records('{name}') }}}}\n",
        f"staging/staging_{name}.md": _blocks,
        f"plan/plan_keys_{name}.sql": lambda _: f"{{{{ touched_keys('{name}') }}}}\n",
        f"plan/plan_keys_{name}.yml": _plan_keys_yml,
        f"records/records_{name}.sql": lambda _: f"{{{{ contest('{name}') }}}}\n",
        f"records/records_{name}.yml": _records_yml,
        **(dates if proposal.event_time else {}),
        f"silver/silver_{name}.sql": _silver_sql,
        f"silver/silver_{name}.yml": _silver_yml,
    }
    return {PurePosixPath("models") / path: make(proposal) for path, make in makers.items()}


def datasets_of(text: str) -> list[str]:
    """Read `vars.datasets` of dbt_project.yml."""
    return [str(one) for one in (yaml.safe_load(text).get("vars") or {}).get("datasets") or []]


def with_dataset(text: str, name: str) -> str:
    """Add a dataset to `vars.datasets` of dbt_project.yml, and change nothing else of the file."""
    if found := _LISTED.search(text):
        names = [one.strip() for one in found[2].split(",") if one.strip()]
        after = next((one for one in names if one > name), None)
        if after is None:
            listed = f"{found[2].rstrip()}{', ' if names else ''}{name}{found[2][len(found[2].rstrip()) :]}"
        else:
            listed = re.sub(rf"(?<!\w){re.escape(after)}(?!\w)", f"{name}, {after}", found[2], count=1)
        return f"{text[: found.start()]}{found[1]}[{listed}]{text[found.end() :]}"
    if found := _ROW_BY_ROW.search(text):
        dash = found[1][: found[1].index("-")]
        return f"{text[: found.end()]}{dash}- {name}\n{text[found.end() :]}"
    raise Permanent(
        "the list of datasets was not found",
        where=PROJECT_FILE,
        todo="write `datasets: […]` under `vars`, on two spaces",
    )


def date_column(proposal: Proposal) -> str:
    """Return silver's name for the date of a record, which must differ from the contract's columns."""
    name = f"{proposal.asked.name}_date"
    while name in {one.name for one in proposal.columns}:
        name += "_utc"
    return name


def _scalar(value: object) -> str:
    """Write a value as YAML on one line: a text that YAML would read as anything else is in quotes."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_scalar(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_scalar, value)) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    is_plain = re.fullmatch(r"\w+( \w+)*", value) and value.isascii()
    return value if is_plain and yaml.safe_load(value) == value else json.dumps(value, ensure_ascii=False)


def contract_format(proposal: Proposal) -> str:
    """Return the contract's format of the records."""
    return "json_lines" if proposal.sample.format == JSON_LINES else "rows"


def _meta(proposal: Proposal) -> dict[str, object]:
    meta: dict[str, object] = {"contract_version": 1, "source": proposal.source, "format": contract_format(proposal)}
    meta["key"] = list(proposal.key)
    for field, column in (("version_column", proposal.version), ("event_time", proposal.event_time)):
        if column:
            meta[field] = column
    meta |= {"cadence": "1 day", "lateness": "2 days", "owner": proposal.owner}
    meta |= settings(proposal)
    if proposal.money:
        amount, currency = proposal.money
        meta["money"] = {"column": amount, "amount": amount, "currency": currency}
    return meta


def _column_meta(column: ProposedColumn) -> dict[str, object]:
    meta: dict[str, object] = {"required": True} if column.required else {}
    if column.header not in (None, column.name) and "join" not in column.options:
        meta["from"] = column.header
    if column.personal:
        meta["personal"] = True
    return meta | column.options


def _staging_yml(proposal: Proposal) -> str:
    name = proposal.asked.name
    as_name = f" as {name}" if name != proposal.source else ""
    lines = [
        "sources:",
        "  - name: bronze",
        "    tables:",
        f"      - name: {name}",
        f'        description: "What the source {proposal.source} sends{as_name}."',
        "        config:",
        "          meta:",
        *(f"            {field}: {_scalar(value)}" for field, value in _meta(proposal).items()),
        "        columns:",
    ]
    for column in proposal.columns:
        meta = _column_meta(column)
        lines += [
            f"          - name: {_scalar(column.name)}",
            f"            data_type: {column.type}",
            f"            description: {json.dumps(column.description, ensure_ascii=False)}",
            *([f"            config: {{meta: {_scalar(meta)}}}"] if meta else []),
        ]
    own = ("batch_id", "record_no", "record_date", "is_deleted")
    rest = ("money_amount", "money_currency", "is_money_read", "reasons", "raw", "source_file", "source_line")
    return _text(
        lines,
        ["", "models:", f"  - name: staging_{name}"],
        [
            '    description: "One row per entering record: typed, or with the reasons why it is refused."',
            "    columns:",
        ],
        [_own(one) for one in own],
        _contract_columns(proposal, proposal.columns),
        [_own(one) for one in rest],
    )


# The types of the columns that Clearwell adds, and the blocks that describe those which have another name.
_OWN_TYPES = {
    **{
        "batch_id": "varchar",
        "record_no": "bigint",
        "record_date": "date",
        "is_deleted": "boolean",
        "duplicates_stay": "boolean",
    },
    **{"money_amount": "decimal(38,4)", "money_currency": "varchar", "is_money_read": "boolean"},
    **{"reasons": "varchar[]", "raw": "varchar", "source_file": "varchar", "source_line": "bigint"},
    **{"decision": "varchar", "fate": "varchar"},
}
_BLOCKS = {"reasons": "staging_reasons", "raw": "staging_raw"}


def _own(name: str) -> str:
    return _column(name, _OWN_TYPES[name], _BLOCKS.get(name, name))


def _column(name: str, data_type: str, block: str) -> str:
    data_type = f'"{data_type}"' if set(data_type) & set(",[") else data_type
    return f"      - {{name: {_scalar(name)}, data_type: {data_type}, description: \"{{{{ doc('{block}') }}}}\"}}"


def _contract_columns(proposal: Proposal, columns: Iterable[ProposedColumn]) -> list[str]:
    return [_column(one.name, one.type, _block(proposal, one.name)) for one in columns]


def _key_columns(proposal: Proposal) -> list[ProposedColumn]:
    by_name = {one.name: one for one in proposal.columns}
    return [by_name[name] for name in proposal.key]


def _block(proposal: Proposal, column: str) -> str:
    """Return the name of a column's description. With two underscores, it is none of the project's own, such as sales_country."""
    return f"{proposal.asked.name}__{column}"


def _date_block(proposal: Proposal) -> str:
    # no column of a contract can have this name
    return _block(proposal, "record_date")


def _blocks(proposal: Proposal) -> str:
    name = proposal.asked.name
    texts = {_block(proposal, one.name): one.description for one in proposal.columns}
    if proposal.event_time:
        texts[_date_block(proposal)] = (
            f"UTC date of {proposal.event_time} in {name}; that of its window if it has none."
        )
    parts = [f"{{% docs {block} %}}\n{text}\n{{% enddocs %}}\n" for block, text in texts.items()]
    return "\n".join([f"Descriptions of the columns of {name}: those of its contract.\n", *parts])


def _plan_keys_yml(proposal: Proposal) -> str:
    return _text(
        ["models:", f"  - name: plan_keys_{proposal.asked.name}"],
        [
            '    description: "The touched keys, each with the dates it has a record on before or after the build. A key may be there several times."',
            "    columns:",
        ],
        _contract_columns(proposal, _key_columns(proposal)),
        [_own("record_date"), _own("duplicates_stay")],
    )


def _records_yml(proposal: Proposal) -> str:
    name, key = proposal.asked.name, list(proposal.key)
    tests = [f"      - one_current: {{arguments: {{key: {_scalar(key)}}}}}"]
    if proposal.version and proposal.version not in key:
        versions = _scalar([*key, proposal.version])
        tests.append(f"      - one_content_per_version: {{arguments: {{key: {versions}}}, config: {{severity: warn}}}}")
    by = _scalar([*key, "record_date"])
    return _text(
        ["models:", f"  - name: records_{name}"],
        [
            '    description: "One row per record that could be parsed, including those that lost the contest, with its fate."'
        ],
        [f"    config: {{meta: {{apply: {{match: plan_keys_{name}, by: {by}}}}}}}"],
        ["    data_tests:", *tests, "    columns:"],
        [_own(one) for one in ("batch_id", "record_no", "record_date", "is_deleted")],
        _contract_columns(proposal, proposal.columns),
        [_own("decision"), _own("fate")],
    )


def _plan_dates_sql(proposal: Proposal) -> str:
    name = proposal.asked.name
    return (
        "with final as (\n"
        f"    select record_date as {date_column(proposal)} from {{{{ ref('plan_dates') }}}} where dataset = '{name}'\n"
        ")\n\nselect * from final\n"
    )


def _plan_dates_yml(proposal: Proposal) -> str:
    name = proposal.asked.name
    return _text(
        ["models:", f"  - name: plan_{name}_dates"],
        [f'    description: "One row per date of {name} that silver and gold rebuild."', "    columns:"],
        [_column(date_column(proposal), "date", _date_block(proposal))],
    )


def _silver_sql(proposal: Proposal) -> str:
    name = proposal.asked.name
    if not proposal.event_time:
        return (
            "with final as (\n"
            f"    select {{{{ column_names('{name}') | join(', ') }}}}, batch_id, record_no\n"
            f"    from {{{{ ref('records_{name}') }}}}\n"
            "    where fate = 'current' and not is_deleted\n"
            ")\n\nselect * from final\n"
        )
    date = date_column(proposal)
    return (
        f"{{% set dates = literals(ref('plan_{name}_dates'), '{date}') %}}\n\n"
        "with current_records as (\n"
        f"    {{{{ current_after('{name}', dates) }}}}\n"
        "),\n\n"
        "final as (\n"
        f"    select {{{{ column_names('{name}') | join(', ') }}}}, record_date as {date}, batch_id, record_no from current_records\n"
        ")\n\nselect * from final\n"
    )


def _silver_yml(proposal: Proposal) -> str:
    name, key, date = proposal.asked.name, list(proposal.key), date_column(proposal)
    own = [_own("batch_id"), _own("record_no")]
    required = [one.name for one in proposal.columns if one.required]
    if proposal.event_time:
        apply = f"{{match: plan_{name}_dates, by: [{date}]}}"
        columns = [*own, _column(date, "date", _date_block(proposal)), *_contract_columns(proposal, proposal.columns)]
        required = [*required, date]
    else:
        apply = f"{{match: plan_keys_{name}, by: {_scalar(key)}}}"
        columns = [*_contract_columns(proposal, proposal.columns), *own]
    return _text(
        ["models:", f"  - name: silver_{name}"],
        [f'    description: "One row per key of {name}: the current one."'],
        [f"    config: {{meta: {{apply: {apply}}}}}"],
        ["    data_tests:"],
        [f"      - unique_grain: {{arguments: {{columns: {_scalar(key)}}}}}"],
        [f"      - complete: {{arguments: {{columns: {_scalar(required)}}}}}"],
        ["    columns:", *columns],
    )


def _text(*parts: Iterable[str]) -> str:
    return "".join(f"{line}\n" for part in parts for line in part)
