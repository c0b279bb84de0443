"""Places of SFTP: each way of writing a server leads to the same one, and no error shows a password."""

import base64
import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.errors import Permanent
from ingestion.sftp_servers import Server, connection_in, server_of

JSON = {"conn_type": "sftp", "host": "files.example", "port": 2222, "login": "me@work", "password": "p@ss/w:rd %"}
SAME = Server("files.example", 2222, "me@work", "AIRFLOW_CONN_PARTNER", "p@ss/w:rd %")
SECRET = "s3cret"
KEY = base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)).decode()


def named(text: str) -> Server:
    server = server_of("sftp://partner/in/a.csv", {"AIRFLOW_CONN_PARTNER": text})
    assert "p@ss" not in repr(server) and SECRET not in repr(server)
    return server


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("sftp://partner/in/a.csv", "partner"),
        ("SFTP://partner", "partner"),
        ("sftp://me@partner/in/a.csv", None),
        ("sftp://partner:22/in/a.csv", None),
        ("sftp://files.example/in/a.csv", None),
        ("s3://partner/a.csv", None),
        ("/partner/a.csv", None),
    ],
)
def test_a_name_alone_is_that_of_a_connection(place: str, name: str | None) -> None:
    assert connection_in(place) == name


def test_airflows_json_and_its_address_are_the_same() -> None:
    assert named(json.dumps(JSON)) == SAME
    assert named(json.dumps({**JSON, "conn_type": "ssh", "port": "2222"})) == SAME
    assert named("sftp://me%40work:p%40ss%2Fw%3Ard%20%25@files.example:2222") == SAME
    assert named(json.dumps({**JSON, "port": None})).port == 22
    extra = {"host_key": f"ssh-ed25519 {KEY}", "key_file": "~/key", "private_key_passphrase": "open", "timeout": 10}
    whole = named(json.dumps({**JSON, "extra": extra}))
    assert (whole.host_key, whole.key_file, whole.passphrase) == (f"ssh-ed25519 {KEY}", "~/key", "open")
    assert named(json.dumps({**JSON, "extra": json.dumps(extra)})) == whole
    address = "sftp://me%40work:p%40ss%2Fw%3Ard%20%25@files.example:2222/?"
    assert named(address + urlencode(extra)) == whole
    assert named(address + urlencode({"__extra__": json.dumps(extra)})) == whole


def test_the_servers_key_is_checked_unless_the_connection_says_no() -> None:
    assert named(json.dumps(JSON)).checks_host_key
    for said, checks in ((False, True), ("false", True), (True, False), ("True", False)):
        assert named(json.dumps({**JSON, "extra": {"no_host_key_check": said}})).checks_host_key is checks
    # Airflow takes the key without its type too.
    assert named(json.dumps({**JSON, "extra": {"host_key": KEY}})).host_key == f"ssh-ed25519 {KEY}"


text = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1)


@given(login=text, password=text)
def test_any_user_and_password_arrive(login: str, password: str) -> None:
    found = named(json.dumps({**JSON, "login": login, "password": password}))
    assert (found.user, found.password) == (login, password)
    found = server_of(f"sftp://{quote(login, safe='')}:{quote(password, safe='')}@files.example:2222/in/a.csv", {})
    assert (found.user, found.password, found.host, found.port) == (login, password, "files.example", 2222)


def test_an_address_names_its_user() -> None:
    assert server_of("sftp://me@localhost/in/a@b.csv", {}) == Server("localhost", 22, "me")
    assert server_of("sftp://me@[::1]:2222/a", {}) == Server("::1", 2222, "me")
    with pytest.raises(Permanent, match=r"does not say its user \(sftp://files\.example/a\)"):
        server_of("sftp://files.example/a", {})


@pytest.mark.parametrize(
    "place",
    [
        f"sftp://me:{SECRET}/x@files.example/a",
        f"sftp://me:{SECRET}@files.example:0/a",
        f"sftp://me:{SECRET}@/a",
        "sftp:///a",
    ],
)
def test_an_address_that_cannot_be_read_is_not_shown(place: str) -> None:
    with pytest.raises(Permanent, match="an address of SFTP cannot be read") as refused:
        server_of(place, {})
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("given_text", "said"),
    [
        ("", "there is no connection 'partner'"),
        (f"ftp://u:{SECRET}@h", "is not of type sftp or ssh"),
        (f"sftp://u:{SECRET}@h:port", "cannot be read"),
        (f"sftp://u:{SECRET}@h/?__extra__=x", "cannot be read"),
        (f"sftp://{SECRET}@", "cannot be read"),
        (f'{{"password": "{SECRET}"', "cannot be read"),
        (json.dumps({**JSON, "password": SECRET, "conn_type": "postgres"}), "is not of type sftp or ssh"),
        (json.dumps({**JSON, "password": SECRET, "extra": [1]}), "cannot be read"),
        (json.dumps({**JSON, "password": SECRET, "port": "x"}), "cannot be read"),
        (json.dumps({**JSON, "password": SECRET, "host": ""}), "cannot be read"),
        (json.dumps({**JSON, "password": SECRET, "extra": {"hostkey": "x"}}), "not known: hostkey; did you mean host_key?"),
        (json.dumps({**JSON, "password": SECRET, "extra": {"host_key": "AAAA"}}), "host_key of a connection cannot be read"),
    ],
)  # fmt: skip
def test_a_wrong_connection_names_its_variable_and_shows_no_password(given_text: str, said: str) -> None:
    with pytest.raises(Permanent) as refused:
        named(given_text)
    told = str(refused.value)
    assert said in told and "AIRFLOW_CONN_PARTNER" in told and SECRET not in told


def test_what_is_known_of_airflows_extras_is_no_error() -> None:
    extra: dict[str, Any] = {"conn_timeout": 10, "look_for_keys": "false", "compress": True}
    assert named(json.dumps({**JSON, "extra": extra})) == SAME
