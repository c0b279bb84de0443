"""One page of results as HTML, which works offline: what the published tables say, and what became of every record."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ingestion.errors import Permanent
from ingestion.home import Home
from operations import ledger
from operations.markup import (
    OURS,
    Bar,
    Tile,
    bars,
    document,
    dollars,
    fates,
    money,
    number,
    safe,
    section,
    table,
    tiles,
)
from operations.markup import write as write_page
from warehouse import state


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
    found["fates"] = [row for row in ledger.read(home)[0] if row["dataset"] not in OURS]
    found["refused"] = state.read(home.state, "silver.dead_letters", _REFUSED)
    path = home.root / "results.html"
    write_page(path, render(found))
    return path


def render(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return the page as HTML, given the rows of its queries by name."""
    parts = [
        _head(found["extent"][0]),
        _tiles(found["totals"][0], found["fates"]),
        section(
            "Revenue by day",
            "Net revenue in US dollars, by order date (UTC). Cancelled orders are left out, returns taken off, tax not included.",
            bars(_sold(str(row["order_date"]), row) for row in found["revenue"]),
            "gold.daily_revenue",
        ),
        section(
            "Revenue by currency",
            "What was sold in each currency, in that currency, and in US dollars at the reference rate of the order date.",
            table(
                ("Currency", "Orders", "Net amount", "Net in dollars"),
                [
                    (
                        row["currency"],
                        f"{row['orders']:,}",
                        money(row["net_amount"], row["currency"]),
                        dollars(row["net_usd"]),
                    )
                    for row in found["currencies"]
                ],
            ),
            "gold.daily_revenue",
        ),
        section(
            "The funnel",
            "Sessions that reached each step, over all of these days, and their share of all sessions.",
            bars(_steps(found["funnel"][0])),
            "gold.daily_funnel",
        ),
        section(
            "What became of every record",
            "Each record that a source gave has exactly one fate, and the fates of a dataset add up to its records.",
            fates(found["fates"]),
            "ops.ledger",
        ),
        section(
            "Why records were refused",
            "A refused record is kept unchanged: clearwell dead-letters suggest says what would rescue it.",
            bars(Bar(row["reason"], row["records"], f"{row['records']:,}", row["dataset"]) for row in found["refused"]),
            "silver.dead_letters",
        ),
        section(
            "Campaigns",
            "Orders by visitors whose last touch it was in the 7 days before, in US dollars.",
            bars(_sold(row["campaign"] or "(none)", row) for row in found["campaigns"]),
            "gold.campaigns",
        ),
        section(
            "Searches that find nothing",
            "Terms of which fewer than one search in five led to a click.",
            bars(
                Bar(row["term"], row["searches"], f"{row['searches']:,} searches", f"{row['clicked']:,} clicked")
                for row in found["unheard"]
            ),
            "gold.search_terms",
        ),
        section(
            "Orders to look at before they ship",
            "Orders with a fraud score of 50 or more of 100, by the rules that fired; docs/metrics.md says what each rule means.",
            table(
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
    return document("Clearwell: what came out", "\n".join(parts))


def _sold(label: str, row: Mapping[str, Any]) -> Bar:
    """Return a bar of sales in dollars, with the number of orders."""
    return Bar(label, number(row["net_usd"]), dollars(row["net_usd"]), f"{row['orders']:,} orders")


def _head(extent: Mapping[str, Any]) -> str:
    return (
        f"<header><h1>Clearwell</h1><p>Order dates {extent['first_date']} to {extent['last_date']}, "
        f"as of build <code>{safe(extent['build_id'])}</code>.</p></header>"
    )


def _tiles(totals: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    records, refused, lost = (sum(row[name] for row in rows) for name in ("bronze", "dead_letter", "difference"))
    numbers = tiles(
        [
            Tile("Records received", f"{records:,}", "from every source"),
            Tile("Refused", f"{refused:,}", f"{100 * refused / max(records, 1):.2f} % of them"),
            Tile("Not accounted for", f"{lost:,}", "records without a fate"),
            Tile("Orders", f"{totals['orders']:,}", "that count in revenue"),
            Tile("Net revenue", dollars(totals["net_usd"]), "without tax"),
        ]
    )
    return f'<section aria-label="At a glance">{numbers}</section>'


def _steps(funnel: Mapping[str, Any]) -> Iterable[Bar]:
    whole = funnel["sessions"] or 0
    for name, label in _FUNNEL:
        sessions = funnel[name] or 0
        yield Bar(label, sessions, f"{sessions:,}", f"{100 * sessions / max(whole, 1):.1f} %")


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
