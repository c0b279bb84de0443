"""Suggest how to rescue dead letters: by cause, the smallest change of contract or records, and what it brings back."""

from dataclasses import dataclass

from ingestion.contract import Contract, read_contracts
from ingestion.home import Home
from operations import letters
from warehouse import state

_CLUSTERS = """
    with shaped as (
        select
            *,
            -- only what a contract lists is shown as it is
            case when reasons[1] like 'not_allowed:%' then value end as listed
        from letters
        where settled is null
    ),

    money as (
        select dataset, reasons, shape, listed, currency, sum(amount) as amount
        from shaped
        where is_amount_read
        group by all
    ),

    totals as (
        select dataset, reasons, shape, listed, string_agg(amount || ' ' || coalesce(currency, '?'), ', ' order by currency) as money
        from money
        group by all
    )

    select
        shaped.dataset, shaped.reasons, shaped.shape, shaped.listed, count(*) as records,
        any_value(totals.money) as money,
        count(*) filter (where is_amount_read = false) as unread_amounts,
        min(record) as example
    from shaped
    left join totals on
        shaped.dataset = totals.dataset and shaped.reasons = totals.reasons
        and shaped.shape is not distinct from totals.shape and shaped.listed is not distinct from totals.listed
    group by shaped.dataset, shaped.reasons, shaped.shape, shaped.listed
    order by records desc, shaped.dataset, shaped.reasons, shape
"""
_RECORDS = {
    "broken_json": "write each line as one JSON object: no comments, no trailing commas, no NaN",
    "half_line": "deliver the complete file again: its last line ends within a record",
    "too_long": "make the record shorter, or raise longest_record in the contract",
    "invalid_utf8": "convert it to UTF-8; such bytes are often Latin-1",
    "ragged_row": "write one field for each column of the header; resubmit the row as a JSON object of its columns",
    "broken_quoting": "close the quotes, and double quotes within a field; resubmit the row as a JSON object of its columns",
    "not_an_object": "write one JSON object per line",
    "duplicate_key": "write each key once: it is unknown which of the two values is meant",
    "too_many_digits": "write amounts of more than 15 digits as strings",
    "too_many_decimals": "round to 4 decimals, by the shop's own rounding rule",
    "not_a_number": "write the amount; NaN is not a number",
    "infinite": "write the value; infinity is not allowed",
    "out_of_range": "correct the value, or discard the record: the type cannot hold this value",
    "not_matching": "correct the value so that it matches the contract's pattern",
    "in_future": "correct the time, and check the clock of the system that wrote it",
    "wrong_type": "write it in the contract's type: text in quotes, whole numbers without",
}


@dataclass(frozen=True)
class Suggestion:
    """The smallest change that removes one reason for a refusal: of the contract, or of the record."""

    of: str
    change: str


def suggestions(home: Home) -> list[state.Row]:
    """Group the dead letters by cause and the shape of the value. Nothing is changed."""
    contracts = read_contracts()
    return [
        {
            "dataset": row["dataset"],
            "reasons": ", ".join(row["reasons"]),
            "value": row["listed"] or row["shape"],
            **_joined(
                [suggest(contracts[row["dataset"]], reason, row["shape"], row["listed"]) for reason in row["reasons"]]
            ),
            "records": row["records"],
            "money": row["money"],
            "unread_amounts": row["unread_amounts"],
            "example": row["example"],
        }
        for row in letters.ask(home, _CLUSTERS)
    ]


def suggest(contract: Contract, reason: str, shape: str | None, listed: str | None) -> Suggestion:
    """Return the change that removes one reason for a refusal."""
    code, _, column = reason.partition(":")
    if code == "missing":
        needed = {*contract.key, contract.event_time, contract.money.currency if contract.money else None}
        if column in needed or column in (contract.money.amount if contract.money else ""):
            return Suggestion("records", f"add {column}: a record is useless without it")
        return Suggestion(
            "contract",
            f"make {column} optional (required: false), and try it: clearwell contracts try FILE --from DATE --to DATE",
        )
    if code == "not_allowed":
        return Suggestion(
            "contract",
            f"allow {column} to be {listed!r}, and try it: clearwell contracts try FILE --from DATE --to DATE",
        )
    if code == "not_parsed":
        return Suggestion("records", _rewrite(column, shape or ""))
    named = f"{column}: " if column else ""
    return Suggestion("records", named + _RECORDS.get(code, "correct the value"))


def _rewrite(column: str, shape: str) -> str:
    if "," in shape and not any(letter in shape for letter in "a:/"):
        return f"{column}: write a decimal point, and no thousands separators"
    if "/" in shape or (":" in shape and "9" in shape):
        return f"{column}: write the time as ISO 8601, such as 2026-11-01T10:00:00Z"
    return f"{column}: write it in the contract's type"


def _joined(parts: list[Suggestion]) -> dict[str, str]:
    """Join suggestions. If one reason needs a correction of the record, the whole does, whatever the contract says."""
    of = "records" if any(part.of == "records" for part in parts) else "contract"
    return {"change": of, "suggestion": "; ".join(dict.fromkeys(part.change for part in parts))}
