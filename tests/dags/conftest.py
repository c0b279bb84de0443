"""One Airflow database for the session, and the DAGs as Airflow reads them."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session", autouse=True)
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Set up Airflow before anything imports it: it reads its settings only once."""
    assert "airflow" not in sys.modules, "Airflow was imported before its settings were set"
    folder = tmp_path_factory.mktemp("airflow")
    os.environ.update(
        {
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        }
    )
    from airflow.utils.db import initdb

    initdb()
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    DagBundlesManager().sync_bundles_to_db()
    from airflow.models.pool import Pool

    Pool.create_or_update_pool("warehouse", slots=1, description="", include_deferred=False)
    yield folder


@pytest.fixture(scope="session")
def bag(airflow_home: Path):
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(REPOSITORY / "dags"))
    assert not bag.import_errors, bag.import_errors
    assert bag.dags, "no DAG was found"
    return bag


@pytest.fixture(scope="session")
def served(bag) -> None:
    """Let Airflow's database know the DAGs, and set up its users."""
    from airflow.api_fastapi.app import init_auth_manager
    from airflow.dag_processing.dagbag import sync_bag_to_db

    sync_bag_to_db(bag, "dags-folder", None)
    init_auth_manager()
