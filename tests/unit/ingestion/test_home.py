from pathlib import Path

import pytest

from ingestion.errors import Permanent
from ingestion.home import Home


def test_defaults_lie_in_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    home = Home.from_environment({"SHOP_DATABASE_URL": ""})
    assert home == Home(tmp_path / "data", tmp_path / "data/landing/clickstream", None)


def test_the_environment_moves_everything():
    given = {"CLEARWELL_HOME": "/a", "CLICKSTREAM_LANDING": "/b", "SHOP_DATABASE_URL": "x", "SHOP_PRIMARY_URL": "y"}
    home = Home.from_environment(given)
    assert home == Home(Path("/a"), Path("/b"), "x", "y")
    assert home.published == Path("/a/published/warehouse.duckdb")


@pytest.mark.parametrize("name", ["a*", "a?b", "[ab]", "a\\b", "a#b", "{{ a }}"])
def test_a_path_that_duckdb_or_dbt_would_read_as_another_is_no_home(name: str, tmp_path: Path):
    with pytest.raises(Permanent, match="cannot be a home"):
        Home.from_environment({"CLEARWELL_HOME": str(tmp_path / name / "home")})


def test_the_demo_leaves_the_shops_address(home: Home):
    with pytest.raises(Permanent, match="clearwell shop start"):
        home.database_url()
    home.shop.mkdir(parents=True)
    (home.shop / "database_url").write_text("postgresql://demo\n")
    assert home.database_url() == "postgresql://demo"
    assert Home(home.root, home.landing, "postgresql://mine").database_url() == "postgresql://mine"
