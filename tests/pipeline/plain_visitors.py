"""Compute in plain Python what clicks mean: sessions, accounts, purchases and the gold tables of clicks."""

import unicodedata
from collections import defaultdict
from datetime import date, datetime, timedelta
from fractions import Fraction

from tests.pipeline.plain_orders import ZERO, Order, rounded

GAP, DAY, WEEK = timedelta(minutes=30), timedelta(days=1), timedelta(days=7)
KINDS = ["page_view", "click", "search", "ad_impression", "add_to_cart", "checkout", "purchase"]
Event = dict


def when(event: Event) -> datetime:
    return datetime.fromisoformat(event["event_time"][:-1])


def in_order(events: list[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (when(event), event["event_id"]))


def by_visitor(events: list[Event]) -> dict[str, list[Event]]:
    found = defaultdict(list)
    for event in in_order(events):
        found[event["visitor_id"]].append(event)
    return found


# --- silver ----------------------------------------------------------------------------------------------------------


def compute_sessions(events: list[Event]) -> list[dict]:
    sessions = []
    for visitor, mine in by_visitor(events).items():
        chains: list[list[Event]] = []
        for event in mine:
            if not chains or when(event) - when(chains[-1][-1]) > GAP:
                chains.append([])
            chains[-1].append(event)
        for chain in chains:
            is_cut = when(chain[-1]) - when(chain[0]) > DAY
            pieces_of = defaultdict(list)
            for event in chain:
                pieces_of[when(event).date() if is_cut else None].append(event)
            sessions += [_summary(visitor, piece, is_cut) for piece in pieces_of.values()]
    return sessions


def _summary(visitor: str, piece: list[Event], is_cut: bool) -> dict:
    def first(name: str) -> str | None:
        return next((event[name] for event in piece if event[name] is not None), None)

    customers = {event["customer_id"] for event in piece} - {None}
    kinds = [event["event_type"] for event in piece]
    return {
        "visitor": visitor,
        "is_cut": is_cut,
        "start": when(piece[0]),
        "end": when(piece[-1]),
        "kinds": tuple(kinds.count(kind) for kind in KINDS),
        "country": first("country"),
        "campaign": first("campaign"),
        "customer": customers.pop() if len(customers) == 1 else None,
    }


def compute_accounts(events: list[Event]) -> list[tuple]:
    """List each visitor's accounts: first and last seen, how many were known by then, and whether it is the only one."""
    found = []
    for visitor, mine in by_visitor(events).items():
        seen: dict[str, list[datetime]] = defaultdict(list)
        for event in mine:
            if event["customer_id"]:
                seen[event["customer_id"]].append(when(event))
        for customer, times in seen.items():
            by_then = sum(other[0] <= times[0] for other in seen.values())
            found.append((visitor, customer, times[0], times[-1], by_then, len(seen) == 1))
    return sorted(found)


def compute_links(events: list[Event]) -> list[tuple]:
    """Return the customer of each session: the one it names, or the only account of its visitor."""
    only = {visitor: customer for visitor, customer, *_, is_linked in compute_accounts(events) if is_linked}
    return sorted(
        (
            *(one["visitor"], one["start"], one["customer"] or only.get(one["visitor"])),
            one["customer"] is None and one["visitor"] in only,
        )
        for one in compute_sessions(events)
    )


def accounts_on_visitors(order: Order, events: list[Event]) -> int:
    """Return the most accounts, as of an order, of any visitor who had used its customer's account."""
    known = [one for one in compute_accounts(events) if one[2] <= order.placed]
    mine = {visitor for visitor, customer, *_ in known if customer == order.customer_id}
    return max((sum(one[0] == visitor for one in known) for visitor in mine), default=0)


def compute_purchases(events: list[Event]) -> list[tuple]:
    found = []
    for mine in by_visitor(events).values():
        for event in mine:
            if event["event_type"] != "purchase" or not event["order_id"]:
                continue
            touches = [
                (when(other), other["event_id"], other["campaign"])
                for other in mine
                if other["campaign"] and when(event) - WEEK <= when(other) <= when(event)
            ]
            at, _, campaign = max(touches, default=(None, None, None))
            found.append((when(event), event["event_id"], event["visitor_id"], event["order_id"], at, campaign))
    return sorted(found, key=str)


# --- gold ------------------------------------------------------------------------------------------------------------


def compute_traffic(events: list[Event]) -> list[tuple]:
    cells = defaultdict(list)
    for event in events:
        cells[when(event).date(), event["event_type"]].append(event["visitor_id"])
    return sorted((*cell, len(mine), len(set(mine))) for cell, mine in cells.items())


def compute_daily_sessions(events: list[Event]) -> list[tuple]:
    days = defaultdict(list)
    for one in compute_sessions(events):
        days[one["start"].date(), one["country"] or "ZZ"].append(one)
    return sorted(
        (
            *(*cell, len(mine), len({one["visitor"] for one in mine}), sum(sum(one["kinds"]) for one in mine)),
            *(sum(sum(one["kinds"]) == 1 for one in mine), sum(one["is_cut"] for one in mine)),
            int(sum((one["end"] - one["start"] for one in mine), timedelta()).total_seconds()),
        )
        for cell, mine in days.items()
    )


def compute_funnel(events: list[Event]) -> list[tuple]:
    cells = defaultdict(list)
    for one in compute_sessions(events):
        cells[one["start"].date(), one["country"] or "ZZ", one["campaign"] or ""].append(one)

    def having(cell: list[dict], kind: str) -> int:
        return sum(one["kinds"][KINDS.index(kind)] > 0 for one in cell)

    return sorted(
        (
            *(*cell, len(mine)),
            *(having(mine, kind) for kind in ("page_view", "add_to_cart", "checkout", "purchase")),
            rounded(Fraction(having(mine, "purchase"), len(mine))),
        )
        for cell, mine in cells.items()
    )


def compute_campaigns(events: list[Event], orders: list[Order]) -> list[tuple]:
    counted = {order.order_id: order for order in orders if order.is_counted}
    first: dict[str, tuple] = {}
    for purchase in sorted(compute_purchases(events), key=lambda one: one[:2]):
        first.setdefault(purchase[3], purchase)
    cells: dict[tuple, dict[str, list]] = defaultdict(lambda: {"touches": [], "orders": []})
    for event in events:
        if event["campaign"]:
            cells[when(event).date(), event["campaign"]]["touches"].append(event)
    for order_id, (at, *_, campaign) in first.items():
        if order_id in counted:
            cells[at.date(), campaign or ""]["orders"].append(counted[order_id])
    return sorted(
        (
            *cell,
            *(sum(one["event_type"] == kind for one in found["touches"]) for kind in ("ad_impression", "click")),
            len({one["visitor_id"] for one in found["touches"]}),
            len(found["orders"]),
            sum((one.usd for one in found["orders"]), ZERO),
            sum(any(line.usd is None for line in one.lines) for one in found["orders"]),
        )
        for cell, found in cells.items()
    )


def compute_searches(events: list[Event]) -> list[tuple]:
    cells = defaultdict(list)
    for visitor, mine in by_visitor(events).items():
        steps = [event for event in mine if event["event_type"] in ("search", "click")]
        for event, after in zip(steps, [*steps[1:], None], strict=False):
            if event["event_type"] == "search":
                words = unicodedata.normalize("NFC", event["search_query"] or "").split()
                is_clicked = after and after["event_type"] == "click" and when(after) - when(event) <= GAP
                cells[when(event).date(), " ".join(words).lower()].append((visitor, bool(is_clicked)))
    return sorted(
        (
            *(*cell, len(mine), len({visitor for visitor, _ in mine}), sum(clicked for _, clicked in mine)),
            rounded(Fraction(sum(clicked for _, clicked in mine), len(mine))),
        )
        for cell, mine in cells.items()
        if cell[1]
    )


def compute_last_hour(events: list[Event]) -> list[tuple]:
    """Count the events of the hour up to each five-minute mark of the clock."""
    found = []
    at = min(map(when, events)).replace(minute=0, second=0, microsecond=0)
    end = max(map(when, events)) + timedelta(hours=1)
    while at <= end:
        mine = [event["event_type"] for event in events if at - timedelta(hours=1) <= when(event) < at]
        if mine:
            kinds = ("page_view", "search", "add_to_cart", "checkout", "purchase")
            found.append((at, len(mine), *(mine.count(kind) for kind in kinds)))
        at += timedelta(minutes=5)
    return found


def compute_features(events: list[Event], moments: list[tuple[str, datetime]]) -> list[tuple]:
    """Return what each visitor did in the hour and in the 7 days before a moment."""
    visitors = by_visitor(events)
    found = []
    for visitor, as_of in moments:
        recent = [event for event in visitors.get(visitor, []) if as_of - WEEK <= when(event) < as_of]
        row: list[object] = [visitor, as_of]
        for length in (timedelta(hours=1), WEEK):
            mine = [event for event in recent if when(event) >= as_of - length]
            kinds = [event["event_type"] for event in mine]
            row += [len(mine), *(kinds.count(kind) for kind in ("page_view", "search", "add_to_cart", "purchase"))]
            row.append(len({event["product_id"] for event in mine} - {None}))
        products = [event["product_id"] for event in recent if event["product_id"]]
        last = when(recent[-1]) if recent else None
        row += [len({when(event).date() for event in recent}), last, products[-1] if products else None]
        found.append(tuple(row))
    return sorted(found)


def latest_features(events: list[Event]) -> list[tuple]:
    as_of = max(map(when, events)).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    recent = {event["visitor_id"] for event in events if when(event) >= as_of - WEEK}
    return compute_features(events, [(visitor, as_of) for visitor in recent])


def count_products(events: list[Event]) -> dict[tuple[date, str], tuple[int, int]]:
    """Count page views and cart additions per product and date."""
    cells = defaultdict(list)
    for event in events:
        if event["product_id"] and event["event_type"] in ("page_view", "add_to_cart"):
            cells[when(event).date(), event["product_id"]].append(event["event_type"])
    return {cell: (mine.count("page_view"), mine.count("add_to_cart")) for cell, mine in cells.items()}
