"""Airflow's plugin: the control room in the navigation of Airflow's UI, and from when the deadlines of DAGs count.

Every process of Airflow imports this file, so it imports little. The page itself is imported when it is first asked for.
"""

import asyncio
import importlib
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from dags.deadlines import FirstQueuedAt

# Where the page is, below the address of Airflow.
PREFIX = "/control-room"


async def page(scope: Any, receive: Any, send: Any) -> None:
    """Pass a request on to the page: an ASGI application."""
    app = (await asyncio.to_thread(importlib.import_module, "control_room.app")).app
    await app(scope, receive, send)


class ControlRoom(AirflowPlugin):
    """The page, its entry in the navigation, and the reference of deadlines."""

    name = "clearwell"
    # Airflow declares all three as plain attributes.
    deadline_references = [FirstQueuedAt]  # noqa: RUF012
    fastapi_apps = [{"name": "Clearwell control room", "app": page, "url_prefix": PREFIX}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            # a longer name does not fit into the navigation
            "name": "Clearwell",
            # relative to the address of Airflow, which may have a path
            "href": f"{PREFIX.removeprefix('/')}/",
            "destination": "nav",
            "url_route": "control-room",
            "nav_top_level": True,
        }
    ]
