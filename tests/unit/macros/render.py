"""Render, without dbt, macros that ask no database anything."""

from types import SimpleNamespace

import duckdb

from tests.unit.macros.dbt_like import project


def event_is(role: str, event_type: str = "event_type") -> str:
    """Stand in for the macro, where every role is an event type of that name."""
    return f"{event_type} = '{role}'"


def macros() -> SimpleNamespace:
    """Load every macro; they may call one another."""
    found = project(duckdb.connect())
    found["event_is"] = event_is
    return SimpleNamespace(**found)
