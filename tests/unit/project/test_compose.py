"""Check docker-compose.yml against the compose specification, since there is no Docker engine to try it on."""

from pathlib import Path

import yaml
from compose_pydantic import ComposeSpecification

ROOT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_it_follows_the_specification() -> None:
    parsed = ComposeSpecification(**{key: value for key, value in COMPOSE.items() if not key.startswith("x-")})
    assert set(parsed.services) == {
        "postgres",
        "init",
        "api-server",
        "scheduler",
        "dag-processor",
        "triggerer",
        "watchdog",
    }


def test_every_lasting_service_has_a_health_check_and_comes_back() -> None:
    for name, service in COMPOSE["services"].items():
        if name != "init":
            assert service["healthcheck"]["test"] and service["restart"] == "unless-stopped", name


def test_ports_are_on_loopback_alone() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports and all(port.startswith("127.0.0.1:") for port in ports)


def test_secrets_come_from_the_environment_and_have_no_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for secret in ("AIRFLOW_DB_PASSWORD", "AIRFLOW_JWT_SECRET", "AIRFLOW_FERNET_KEY", "SHOP_DATABASE_URL"):
        assert f"${{{secret}:?" in text
        assert f"${{{secret}}}" not in text and f"${{{secret}:-" not in text
        assert f"{secret}=\n" in (ROOT / ".env.example").read_text()


def test_rates_are_asked_for_and_not_those_of_a_package() -> None:
    environment = COMPOSE["services"]["scheduler"]["environment"]
    assert environment["EXCHANGE_RATES"].startswith("${EXCHANGE_RATES:?")
    assert "EXCHANGE_RATES=https://" in (ROOT / ".env.example").read_text()


def test_named_volumes_exist() -> None:
    used = {volume.split(":")[0] for service in COMPOSE["services"].values() for volume in service.get("volumes", [])}
    assert {name for name in used if name[0] not in "$/."} == set(COMPOSE["volumes"])


def test_services_get_what_contracts_of_own_sources_name() -> None:
    assert all(COMPOSE["services"][name]["env_file"] == ".env" for name in ("scheduler", "dag-processor", "triggerer"))
