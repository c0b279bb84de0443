"""Compare what a visitor did before any moment with plain Python, and check that nothing of the future is seen."""

from datetime import datetime, timedelta

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from tests.pipeline.plain_visitors import compute_features
from tests.unit.macros.render import macros

AS_OF = datetime(2026, 1, 8, 12)
HOUR, WEEK, TICK = timedelta(hours=1), timedelta(days=7), timedelta(microseconds=1)
EDGES = [
    *(before + by for before in (timedelta(0), -HOUR, -WEEK) for by in (-TICK, timedelta(0), TICK)),
    timedelta(days=-3),
    timedelta(days=1),
]
EVENTS = st.lists(
    st.builds(
        lambda visitor, edge, kind, product: (visitor, AS_OF + edge, kind, product),
        st.sampled_from(["v1", "v2"]),
        st.sampled_from(EDGES),
        st.sampled_from(["page_view", "search", "add_to_cart", "purchase", "click"]),
        st.sampled_from([None, "p1", "p2"]),
    ),
    max_size=30,
)
MOMENTS = [("v1", AS_OF), ("v2", AS_OF), ("v1", AS_OF - HOUR), ("nobody", AS_OF)]


def features(events: list[dict]) -> list[tuple]:
    with duckdb.connect() as connection:
        connection.execute("create table moments (visitor_id text, as_of timestamp)")
        connection.executemany("insert into moments values (?, ?)", MOMENTS)
        connection.execute(
            "create table events (event_id text, visitor_id text, event_time timestamp, event_date date, event_type text, product_id text)"
        )
        for event in events:
            connection.execute(
                "insert into events values ($1, $2, $3, $3::date, $4, $5)",
                [
                    event["event_id"],
                    event["visitor_id"],
                    event["event_time"][:-1],
                    event["event_type"],
                    event["product_id"],
                ],
            )
        return sorted(connection.execute(macros().visitor_features("moments", "events")).fetchall())


def named(rows: list[tuple]) -> list[dict]:
    return [
        {
            "event_id": f"e{number:02}",
            "visitor_id": visitor,
            "event_time": at.isoformat() + "Z",
            "event_type": kind,
            "product_id": product,
        }
        for number, (visitor, at, kind, product) in enumerate(rows)
    ]


@given(rows=EVENTS)
def test_they_are_those_of_plain_python(rows: list[tuple]) -> None:
    events = named(rows)
    assert features(events) == compute_features(events, MOMENTS)


@given(rows=EVENTS)
def test_what_comes_later_changes_nothing(rows: list[tuple]) -> None:
    events = named(rows)
    known = [event for event in events if datetime.fromisoformat(event["event_time"][:-1]) < AS_OF]
    assert features(events) == features(known)
