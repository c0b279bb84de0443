"""Render, without dbt, macros that need nothing from it but `ref`, which here returns the table's name."""

from typing import Any

import jinja2

from ingestion.contract import PROJECT

FILES = ("contest", "windows", "visitor_features", "money", "tax")


def event_is(role: str, event_type: str = "event_type") -> str:
    """Stand in for the macro, where every role is an event type of that name."""
    return f"{event_type} = '{role}'"


def macros() -> Any:
    """Load the macros of a few files, which may call one another."""
    text = "\n".join((PROJECT / "macros" / f"{name}.sql").read_text() for name in FILES)
    return (
        jinja2.Environment(undefined=jinja2.StrictUndefined)
        .from_string(text, {"ref": str, "event_is": event_is})
        .module
    )
