"""Attach a state that is in a lake to dbt's connection. dbt-duckdb calls it: see dbt_project/profiles.yml."""

import os
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin

from ingestion import lake

# The variables with the databases that the profile attaches, and the names it gives them.
_ATTACHED = {"state": "CLEARWELL_STATE", "previous": "CLEARWELL_PREVIOUS"}


class Plugin(BasePlugin):
    """Attach lakes under the names of the profile, which cannot hold the address of their catalog: it has a password."""

    def configure_connection(self, conn: Any) -> None:
        for name, variable in _ATTACHED.items():
            path = Path(os.environ.get(variable, ""))
            if lake.is_lake(path):
                lake.attach(conn, path, name)
