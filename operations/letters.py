"""Dead letters: each refused line once, however often it was landed, and whether it is settled.

A letter is open until a person decides about its line, or until there is a valid record of its key that is not older. This
is computed from the tables on each call, so it follows every build. The accounts, in contrast, count each refused record.
"""

from collections.abc import Sequence

from ingestion.contract import Contract, read_contracts
from ingestion.home import Home
from ingestion.names import text_in_raw
from warehouse import state

# A refused record without the end of its line, which the last one of a file may lack.
LINE = "rtrim(raw, chr(10) || chr(13))"
# Only the kinds of characters are kept: the value may be personal data.
SHAPE = "regexp_replace(regexp_replace(left({0}, 40), '\\p{{N}}', '9', 'g'), '\\p{{L}}', 'a', 'g')"
_LETTERS = f"""
    create temp table letters as
    with refused as (
        select *, {LINE} as line from records.refused where raw is not null and reasons[1] <> 'forgotten'
    ),

    -- a decision about one landing of a line is one about the line
    decided as (
        select
            refused.dataset, refused.line,
            min(case refused.fate when 'withdrawn' then 'discarded' else 'corrected' end) as settled
        from refused
        inner join records.decisions as decisions
            on refused.decision = decisions.batch_id || ':' || decisions.record_no
        where decisions.target_record_no is not null
        group by all
    ),

    letters as (
        select
            refused.dataset, refused.line,
            any_value(raw order by batch_id, record_no) as raw,
            any_value(batch_id || ':' || record_no order by batch_id, record_no) as record,
            any_value(record_date order by batch_id, record_no) as record_date,
            any_value(source_file order by batch_id, record_no) as source_file,
            any_value(source_line order by batch_id, record_no) as source_line,
            any_value(currency order by batch_id, record_no) as currency,
            any_value(amount order by batch_id, record_no) as amount,
            any_value(is_amount_read order by batch_id, record_no) as is_amount_read,
            any_value(reasons order by landed_at desc, batch_id, record_no) as reasons,
            count(*) as records,
            min(landed_at) as first_seen,
            max(landed_at) as last_seen,
            bool_or(refused.fate = 'dead_letter') as is_dead_letter
        from refused
        left join ops.batches as batches using (batch_id)
        group by refused.dataset, refused.line
    ),

    named as (
        select letters.*, nullif(split_part(reasons[1], ':', 2), '') as column_name, coalesce(known.names, [column_name]) as names
        from letters
        left join source_names as known
            on letters.dataset = known.dataset and nullif(split_part(reasons[1], ':', 2), '') = known.name
    ),

    said as (
        select
            * exclude (names),
            case when json_valid(raw) then list_filter(
                list_transform(names, lambda name: json_extract_string(raw, '$."' || name || '"')),
                lambda text: text is not null
            )[1] end as value
        from named
    )

    select
        said.* exclude (column_name, value),
        -- what is no dead letter without a decision is half a line, and its file landed again, longer
        coalesce(decided.settled, case when not is_dead_letter then 'replaced' end) as settled,
        cast(null as varchar) as settled_by,
        column_name,
        value,
        {SHAPE.format("value")} as shape
    from said
    left join decided using (dataset, line)
"""
_OPEN = "select distinct dataset from letters where settled is null order by all"
_REPLACED = """
    update letters set settled = 'replaced', settled_by = found.record
    from (
        select letters.line, any_value(records.batch_id || ':' || records.record_no) as record
        from letters
        inner join records.{dataset} as records on {same_key}
        inner join ops.batches as batches on records.batch_id = batches.batch_id
        where letters.dataset = '{dataset}' and letters.settled is null and records.fate = 'current' and {is_newer}
        group by letters.line
    ) as found
    where letters.dataset = '{dataset}' and letters.line = found.line
"""


def ask(home: Home, query: str, parameters: list[object] | None = None) -> list[state.Row]:
    """Run a query over `letters`, one row per refused line; none without a state.

    `settled` is missing for an open one; else it is discarded, corrected, or replaced by the valid record `settled_by`.
    """
    if not home.state.exists():
        return []
    with state.connect(home.state) as connection:
        if not state.has_table(connection, "records", "refused"):
            return []
        connection.execute("create temp table source_names (dataset varchar, name varchar, names varchar[])")
        contracts = read_contracts()
        for dataset, contract in contracts.items():
            for column in (one for one in contract.columns if one.source_names):
                row = [dataset, column.name, list(column.source_names)]
                connection.execute("insert into source_names values ($1, $2, $3)", row)
        connection.execute(_LETTERS)
        for (dataset,) in connection.execute(_OPEN).fetchall():
            if dataset in contracts:
                connection.execute(_REPLACED.format(dataset=dataset, **_same_record(contracts[dataset])))
        return state.rows(connection, query, parameters)


def settled(home: Home, records: Sequence[str]) -> dict[str, str]:
    """Return what settled the letters of some refused records, each named as batch:record_no, or that they are open."""
    query = f"""
        select refused.record, coalesce(letters.settled || coalesce(' by ' || letters.settled_by, ''), 'open') as settled
        from (select dataset, batch_id || ':' || record_no as record, {LINE} as line from records.refused) as refused
        inner join letters using (dataset, line)
        where list_contains($1, refused.record)
    """
    return {row["record"]: row["settled"] for row in ask(home, query, [list(records)])}


def _same_record(contract: Contract) -> dict[str, str]:
    """Return the condition on a record of a letter's key that is not older: by version, or by landing without a version."""
    types = {column.name: column.type for column in contract.columns}
    same = [f"records.{name} = {_typed(contract.at_source(name), types.get(name, 'varchar'))}" for name in contract.key]
    version = contract.version_column
    if not version:
        return {"same_key": " and ".join(same), "is_newer": "true"}
    said = _typed(contract.at_source(version), types.get(version, "timestamp"))
    later = "batches.landed_at > letters.first_seen"
    newer = f"(records.{version} > {said} or (coalesce(records.{version} = {said}, {said} is null) and {later}))"
    return {"same_key": " and ".join(same), "is_newer": newer}


def _typed(names: Sequence[str], kind: str) -> str:
    """Return SQL for a letter's value under the first of these names that it has, as a type."""
    said = f"case when json_valid(letters.raw) then {text_in_raw(names, 'letters.raw')} end"
    if kind == "timestamp":
        return f"timezone('UTC', try_cast({said} as timestamptz))"
    return f"try_cast({said} as {kind})"
