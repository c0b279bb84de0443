"""Messages show an address's host and database or path, and never part of a password, however it was mistyped."""

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingestion.addresses import UNREADABLE, shown, split_database, split_http

# This character marks passwords; no other part of an address contains it.
MARK = "☢"
HOSTILE = [
    "/",
    "@",
    ":",
    "%",
    "#",
    "?",
    " ",
    "'",
    '"',
    "\\",
    "é",
    "=",
    "&",
    "[",
    "]",
    ",",
    "//",
    "%2F",
    "%40",
    "%zz",
    "1",
    "5432",
    "\t",
    "\n",
]
PASSWORDS = st.lists(st.sampled_from([*HOSTILE, MARK, MARK]) | st.characters(codec="utf-8"), min_size=1).map("".join)
TEMPLATES = [
    "postgresql://user:{}@db.example:5432/shop",
    "postgres://user:{}@db.example/shop?sslmode=require",
    "postgresql://user:{}@/shop?host=/run/postgresql",
    " postgresql://user:{}@db.example/shop",
    "'postgresql://user:{}@db.example/shop'",
    "postgresql:/user:{}@db.example/shop",
    "postgresql:user:{}@db.example/shop",
    "https://user:{}@rates.example/rates.csv",
    "http://user:{}@127.0.0.1:8080/rates.csv?base=EUR",
    "HTTPS://user:{}@rates.example/rates.csv",
    " https://user:{}@rates.example/rates.csv",
    '"https://user:{}@rates.example/rates.csv"',
    "https:/user:{}@rates.example/rates.csv",
    "https:///user:{}@rates.example/rates.csv",
    "ftp://user:{}@rates.example/rates.csv",
    "sftp://user:{}@rates.example/rates.csv",
    "SFTP://user:{}@rates.example/rates.csv",
    "sftp:/user:{}@rates.example/rates.csv",
    "s3://user:{}@bucket/rates.csv",
    "mysql://user:{}@db.example/shop",
    "user:{}@rates.example/rates.csv",
]
QUERIES = [
    "https://rates.example/rates.csv?api_key={}",
    "https://rates.example/rates.csv#token={}",
    "https://rates.example:8443/rates.csv?a=1&api_key={}&b=2",
    "rates.example/rates.csv?api_key={}",
]


@given(st.sampled_from(TEMPLATES), PASSWORDS)
@example("postgresql://user:{}@db.example:5432/shop", f"p@%2F{MARK}")
@example("postgresql://user:{}@db.example:5432/shop", f"5432/{MARK}")
@example("postgresql://user:{}@db.example:5432/shop", f"5432?sslmode={MARK}")
@example("https://user:{}@rates.example/rates.csv", f"12/{MARK}")
@example("https://user:{}@rates.example/rates.csv", f"p@{MARK}/x")
@example("https://user:{}@rates.example/rates.csv", f"12?{MARK}")
def test_no_piece_of_a_password_is_shown(template: str, password: str) -> None:
    address = template.format(password)
    said = shown(address)
    assert MARK not in said and quote(MARK) not in said
    whole = split_database(address) if "postgres" in template else None
    told = {UNREADABLE, "database shop on db.example:5432", "database shop on /run/postgresql:5432"}
    http = {f"{scheme}://rates.example/rates.csv" for scheme in ("http", "https", "sftp")} | {
        "http://127.0.0.1:8080/rates.csv"
    }
    assert said in told | http or (whole and "@" not in str(whole)), said


@given(
    st.sampled_from(TEMPLATES[:2] + TEMPLATES[7:9]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
)
def test_a_password_that_is_written_as_the_standard_says_is_read(template: str, password: str) -> None:
    address = template.format(quote(password, safe=""))
    database, http = split_database(address), split_http(address)
    assert (database and database.secrets == (password,)) or (http and http.hostname)
    assert shown(address) != UNREADABLE


@given(st.sampled_from(QUERIES), PASSWORDS)
def test_nothing_of_a_query_is_shown(template: str, secret: str) -> None:
    said = shown(template.format(secret))
    assert MARK not in said and said in (
        UNREADABLE,
        "https://rates.example/rates.csv",
        "https://rates.example:8443/rates.csv",
        "rates.example/rates.csv",
    )


@given(st.text())
def test_any_text_is_shown(text: str) -> None:
    assert shown(text)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://u:p@h/d", "database d on h:5432"),
        ("postgresql://u:p@h:5/d?sslmode=require", "database d on h:5"),
        ("host=h dbname=d password='p w'", "database d on h:5432"),
        ("postgresql://u:p@a,b:6/d", "database d on a,b:,6"),
        ("postgresql://", "database postgres on localhost:5432"),
        ("https://me:pass@rates.example:8443/a/b.csv?key=1#part", "https://rates.example:8443/a/b.csv"),
        ("https://cdn.example/package@1.2/rates.csv", "https://cdn.example/package@1.2/rates.csv"),
        ("https://rates.example/r.csv?mail=a@b.c&key=secret", "https://rates.example/r.csv"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("/data/rates.csv", "/data/rates.csv"),
        ("/data/me@home/rates.csv", "/data/me@home/rates.csv"),
        ("package:currency_converter/eurofxref-hist.zip", "package:currency_converter/eurofxref-hist.zip"),
        ("ftp://h/x", UNREADABLE),
        ("sftp://me:pass@rates.example:2222/in/{date}/*.csv", "sftp://rates.example:2222/in/{date}/*.csv"),
        ("sftp://partner/~/in/a?b#c.csv", "sftp://partner/~/in/a?b#c.csv"),
        ("sftp://me@[::1]/x", "sftp://[::1]/x"),
        ("sftp://me:pa/ss@host/x", UNREADABLE),
        ("", UNREADABLE),
    ],
)
def test_of_an_address_host_and_name_are_shown(address: str, said: str) -> None:
    assert shown(address) == said


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("s3://exports/in/{date}/*.csv", "s3://exports/in/{date}/*.csv"),
        ("s3://exports", "s3://exports"),
        ("s3://exports/a.csv?X-Amz-Signature=secret", "s3://exports/a.csv"),
        ("s3://KEY:secret@exports/a.csv", UNREADABLE),
        ("s3://key:sec/ret@exports/a.csv", UNREADABLE),
    ],
)
def test_an_object_is_shown_unless_its_bucket_could_be_a_key(place: str, said: str) -> None:
    assert shown(place) == said
