"""Write one page of results that opens offline: revenue, the funnel, and the fate of every record. HTML and CSS only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import Any

from ingestion.errors import Permanent
from ingestion.home import Home
from operations import ledger
from operations.output import escaped
from warehouse import state

_FATES = ("current", "superseded", "duplicate", "dead_letter", "withdrawn")
_FATE_NAMES = {"dead_letter": "dead letter"}
# Datasets of Clearwell's own, not of a source.
_OURS = ("decisions", "source_counts")


@dataclass(frozen=True)
class Bar:
    """One bar of a chart: its label, its size, the size as text, and a note beside it."""

    label: str
    size: float
    written: str
    note: str = ""


def write(home: Home) -> Path:
    """Write the page about the published tables as `results.html` in the home; return its path."""
    if not home.published.exists():
        raise Permanent(
            "nothing is published yet",
            where=str(home.published),
            todo="clearwell run --from DATE --to DATE; or clearwell build, if batches have landed",
        )
    with state.connect(home.published) as connection:
        found = {name: state.rows(connection, query) for name, query in _QUERIES.items()}
    found["fates"] = [row for row in ledger.read(home)[0] if row["dataset"] not in _OURS]
    found["refused"] = state.read(home.state, "silver.dead_letters", _REFUSED)
    path = home.root / "results.html"
    aside = path.with_suffix(".new")
    aside.write_text(render(found), encoding="utf-8")
    aside.replace(path)
    return path


def render(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return the page as HTML, given the rows of its queries by name."""
    parts = [
        _head(found["extent"][0]),
        _tiles(found["totals"][0], found["fates"]),
        _section(
            "Revenue by day",
            "Net revenue in US dollars, by order date (UTC). Cancelled orders are left out, returns taken off, tax not included.",
            _bars(_sold(str(row["order_date"]), row) for row in found["revenue"]),
            "gold.daily_revenue",
        ),
        _section(
            "Revenue by currency",
            "What was sold in each currency, in that currency, and in US dollars at the reference rate of the order date.",
            _table(
                ("Currency", "Orders", "Net amount", "Net in dollars"),
                [
                    (
                        row["currency"],
                        f"{row['orders']:,}",
                        _money(row["net_amount"], row["currency"]),
                        _dollars(row["net_usd"]),
                    )
                    for row in found["currencies"]
                ],
            ),
            "gold.daily_revenue",
        ),
        _section(
            "The funnel",
            "Sessions that reached each step, over all of these days, and their share of all sessions.",
            _bars(_steps(found["funnel"][0])),
            "gold.daily_funnel",
        ),
        _section(
            "What became of every record",
            "Each record that a source gave has exactly one fate, and the fates of a dataset add up to its records.",
            _fates(found["fates"]),
            "ops.ledger",
        ),
        _section(
            "Why records were refused",
            "A refused record is kept unchanged: clearwell dead-letters suggest says what would rescue it.",
            _bars(
                Bar(row["reason"], row["records"], f"{row['records']:,}", row["dataset"]) for row in found["refused"]
            ),
            "silver.dead_letters",
        ),
        _section(
            "Campaigns",
            "Orders by visitors whose last touch it was in the 7 days before, in US dollars.",
            _bars(_sold(row["campaign"] or "(none)", row) for row in found["campaigns"]),
            "gold.campaigns",
        ),
        _section(
            "Searches that find nothing",
            "Terms of which fewer than one search in five led to a click.",
            _bars(
                Bar(row["term"], row["searches"], f"{row['searches']:,} searches", f"{row['clicked']:,} clicked")
                for row in found["unheard"]
            ),
            "gold.search_terms",
        ),
        _section(
            "Orders to look at before they ship",
            "Orders with a fraud score of 50 or more of 100, by the rules that fired; docs/metrics.md says what each rule means.",
            _table(
                ("Why", "Orders", "Score", "One of them"),
                [
                    (
                        ", ".join(row["reasons"]).replace("_", " "),
                        f"{row['orders']:,}",
                        str(row["score"]),
                        row["example"],
                    )
                    for row in found["risk"]
                ],
                numbers=(1, 2),
            ),
            "gold.order_risk",
        ),
    ]
    return _PAGE.format(style=_STYLE, body="\n".join(parts))


def _sold(label: str, row: Mapping[str, Any]) -> Bar:
    """Return a bar of sales in dollars, with the number of orders."""
    return Bar(label, _number(row["net_usd"]), _dollars(row["net_usd"]), f"{row['orders']:,} orders")


def _head(extent: Mapping[str, Any]) -> str:
    return (
        f"<header><h1>Clearwell</h1><p>Order dates {extent['first_date']} to {extent['last_date']}, "
        f"as of build <code>{_safe(extent['build_id'])}</code>.</p></header>"
    )


def _tiles(totals: Mapping[str, Any], fates: Sequence[Mapping[str, Any]]) -> str:
    records, refused, lost = (sum(row[name] for row in fates) for name in ("bronze", "dead_letter", "difference"))
    tiles = [
        ("Records received", f"{records:,}", "from every source"),
        ("Refused", f"{refused:,}", f"{100 * refused / max(records, 1):.2f} % of them"),
        ("Not accounted for", f"{lost:,}", "records without a fate"),
        ("Orders", f"{totals['orders']:,}", "that count in revenue"),
        ("Net revenue", _dollars(totals["net_usd"]), "without tax"),
    ]
    cells = "".join(
        f'<div class="tile"><b>{_safe(value)}</b><span>{_safe(name)}</span><small>{_safe(note)}</small></div>'
        for name, value, note in tiles
    )
    return f'<section class="tiles">{cells}</section>'


def _section(title: str, says: str, body: str, table: str) -> str:
    return f"<section><h2>{_safe(title)}</h2><p>{_safe(says)} <code>{_safe(table)}</code></p>{body}</section>"


def _steps(funnel: Mapping[str, Any]) -> Iterable[Bar]:
    whole = funnel["sessions"] or 0
    for name, label in _FUNNEL:
        sessions = funnel[name] or 0
        yield Bar(label, sessions, f"{sessions:,}", f"{100 * sessions / max(whole, 1):.1f} %")


def _bars(bars: Iterable[Bar]) -> str:
    listed = list(bars)
    if not listed:
        return '<p class="nothing">None.</p>'
    most = max((abs(bar.size) for bar in listed), default=0) or 1
    rows = "".join(
        f'<tr><th scope="row">{_safe(bar.label)}</th>'
        f'<td class="bar"><i class="{"below" if bar.size < 0 else "above"}" style="width:{100 * abs(bar.size) / most:.2f}%"></i></td>'
        f'<td class="number">{_safe(bar.written)}</td><td class="note">{_safe(bar.note)}</td></tr>'
        for bar in listed
    )
    return f'<table class="bars">{rows}</table>'


def _fates(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return one full bar per dataset, divided by fate, and the numbers below, since small parts cannot be seen."""
    legend = "".join(f'<span><i class="{fate}"></i>{_fate(fate)}</span>' for fate in _FATES)
    bars = "".join(
        f'<tr><th scope="row">{_safe(row["dataset"])}</th><td class="bar whole">'
        + "".join(
            f'<i class="{fate}" style="width:{100 * row[fate] / max(row["bronze"], 1):.3f}%" title="{row[fate]:,} {_fate(fate)}"></i>'
            for fate in _FATES
        )
        + "</td></tr>"
        for row in rows
    )
    numbers = _table(
        ("Dataset", "Records", *(_fate(fate).capitalize() for fate in _FATES), "Difference"),
        [
            (row["dataset"], f"{row['bronze']:,}", *(f"{row[fate]:,}" for fate in _FATES), f"{row['difference']:,}")
            for row in rows
        ],
    )
    return f'<p class="legend">{legend}</p><table class="bars">{bars}</table>{numbers}'


def _fate(name: str) -> str:
    return _FATE_NAMES.get(name, name)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] | None = None) -> str:
    """Write a table; columns from the second on are numbers, unless `numbers` says which are."""
    if not rows:
        return '<p class="nothing">None.</p>'
    right = range(1, len(names)) if numbers is None else numbers
    classes = [' class="number"' if place in right else "" for place in range(len(names))]
    head = "".join(f"<th{kind}>{_safe(name)}</th>" for kind, name in zip(classes, names, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{_safe(cell)}</td>" for kind, cell in zip(classes, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table class="list"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _safe(text: Any) -> str:
    """Escape data for the page: it is not read as markup, and does not change the direction of writing."""
    return escape(escaped(str(text)))


def _number(amount: Decimal | None) -> float:
    return float(amount or 0)


def _dollars(amount: Decimal | None) -> str:
    return "unknown" if amount is None else f"${amount:,.0f}" if amount >= 0 else f"-${-amount:,.0f}"


def _money(amount: Decimal, currency: str) -> str:
    """Write an amount with the usual decimals of the currency."""
    return f"{amount:,.0f}" if currency in ("JPY", "KRW") else f"{amount:,.2f}"


_FUNNEL = (
    ("sessions", "any session"),
    ("view_sessions", "viewed a page"),
    ("cart_sessions", "added to the cart"),
    ("checkout_sessions", "began a checkout"),
    ("purchase_sessions", "purchased"),
)
_QUERIES = {
    "extent": """
        select
            (select min(order_date) from gold.daily_revenue) as first_date,
            (select max(order_date) from gold.daily_revenue) as last_date,
            (select max_by(build_id, build_number) from ops.builds) as build_id
    """,
    "totals": """
        select coalesce(sum(orders), 0)::bigint as orders, coalesce(sum(net_usd), 0) as net_usd from gold.daily_revenue
    """,
    "revenue": """
        select order_date, net_usd, orders
        from (
            select order_date, sum(net_usd) as net_usd, sum(orders)::bigint as orders
            from gold.daily_revenue group by order_date order by order_date desc limit 28
        )
        order by order_date
    """,
    "currencies": """
        select currency, sum(orders)::bigint as orders, sum(net_amount) as net_amount, sum(net_usd) as net_usd
        from gold.daily_revenue group by currency order by net_usd desc nulls last, currency limit 20
    """,
    "funnel": f"""
        select {", ".join(f"sum({name})::bigint as {name}" for name, _ in _FUNNEL)} from gold.daily_funnel
    """,
    "campaigns": """
        select campaign, sum(orders)::bigint as orders, sum(net_usd) as net_usd
        from gold.campaigns where campaign <> '' group by campaign order by net_usd desc, campaign limit 12
    """,
    "unheard": """
        select term, sum(searches)::bigint as searches, sum(clicked_searches)::bigint as clicked from gold.search_terms
        group by term having sum(clicked_searches) < 0.2 * sum(searches) order by searches desc, term limit 12
    """,
    "risk": """
        select reasons, count(*) as orders, max(score) as score, max(order_id) as example
        from gold.order_risk group by reasons order by score desc, orders desc, reasons limit 15
    """,
}
_REFUSED = """
    select dataset, reason, count(*) as records from silver.dead_letters, unnest(reasons) as reasons (reason)
    group by all order by records desc, dataset, reason limit 15
"""
_STYLE = """
:root { color-scheme: light dark; --back: #fbfbfa; --card: #ffffff; --text: #1d2126; --soft: #5b6570; --line: #dfe3e6;
  --bar: #2f6f9f; --below: #b3462f; --current: #2f6f9f; --superseded: #93b7d2; --duplicate: #c9a227; --dead_letter: #b3462f; --withdrawn: #7a6a9a }
@media (prefers-color-scheme: dark) { :root { --back: #14171a; --card: #1c2024; --text: #e7eaec; --soft: #a2acb5; --line: #353b41;
  --bar: #63a8d8; --below: #e08267; --current: #63a8d8; --superseded: #3f6480; --duplicate: #d9b640; --dead_letter: #e08267; --withdrawn: #a795cc } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 3rem; background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif }
h1 { margin: 0; font-size: 1.6rem } h2 { margin: 0; font-size: 1.15rem } header p, section > p { margin: .2rem 0 .8rem; color: var(--soft) }
code { font: .85em ui-monospace, monospace }
section { margin-top: 1rem; padding: 1rem 1.2rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: 1rem }
.tile b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums } .tile span { display: block } .tile small { color: var(--soft) }
table { width: 100%; border-collapse: collapse } th { font-weight: 400; text-align: left }
.bars th { width: 15rem; padding: .15rem .8rem .15rem 0 } .bars .bar { padding: .15rem 0 }
.bars i { display: block; height: 1.05rem; min-width: 1px; border-radius: .15rem; background: var(--bar) } .bars i.below { background: var(--below) }
.bars .number { width: 7rem; padding-left: .6rem } .bars .note { width: 7rem; color: var(--soft); padding-left: .8rem; white-space: nowrap }
.bars .whole { display: flex } .bars .whole i { min-width: 0; border-radius: 0; background: var(--fate) }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.list { margin-top: .8rem } .list th { color: var(--soft); border-bottom: 1px solid var(--line) } .list th, .list td { padding: .25rem .8rem .25rem 0 }
.list td { border-bottom: 1px solid var(--line) } .wide { overflow-x: auto }
.legend span { margin-right: 1.2rem } .legend i { display: inline-block; width: .8rem; height: .8rem; margin-right: .35rem; background: var(--fate) }
.current { --fate: var(--current) } .superseded { --fate: var(--superseded) } .duplicate { --fate: var(--duplicate) }
.dead_letter { --fate: var(--dead_letter) } .withdrawn { --fate: var(--withdrawn) }
@media (max-width: 40rem) { .bars th { width: 8rem } .bars .note { display: none } }
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Clearwell: what came out</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
