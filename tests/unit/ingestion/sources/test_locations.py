"""Locations: variables, date parts and wildcards name the files that they say, and no others."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.contract import Contract, read_contracts
from ingestion.errors import Permanent
from ingestion.file_settings import Files
from ingestion.sources import locations
from ingestion.sources.locations import filled, find, has_wildcard, location_of, matches, units
from ingestion.window import Window

DAYS = Window.parse("2026-10-31", "2026-11-02")


def contract(location: str) -> Contract:
    return replace(read_contracts()["exchange_rates"], settings=Files(location))


def names(folder: Path, pattern: str) -> list[str]:
    return [str(Path(one.place).relative_to(folder)) for one in find(f"{folder}/{pattern}").files]


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("/in/{date}.csv", ["/in/2026-10-31.csv", "/in/2026-11-01.csv"]),
        ("/in/dt={date}/part-*.parquet", ["/in/dt=2026-10-31/part-*.parquet", "/in/dt=2026-11-01/part-*.parquet"]),
        ("s3://b/{year}/{month}/{day}/*", ["s3://b/2026/10/31/*", "s3://b/2026/11/01/*"]),
        ("/in/orders_{year}{month}{day}.csv", ["/in/orders_20261031.csv", "/in/orders_20261101.csv"]),
        ("/in/{year}-{month}.csv", ["/in/2026-10.csv", "/in/2026-11.csv"]),
        ("/in/{milliseconds}/*.gz", ["/in/1793404800000/*.gz", "/in/1793491200000/*.gz"]),
        ("/in/all.csv", ["/in/all.csv"]),
    ],
)
def test_date_parts_are_those_of_the_windows_days(location: str, found: list[str]) -> None:
    assert list(dict.fromkeys(filled(location, one) for one in units(location, DAYS))) == found


def test_hours_are_listed_where_each_has_files_of_its_own() -> None:
    window = Window.parse("2026-11-01T22:00", "2026-11-02T01:00")
    location = "/in/{date}/{hour}/*"
    found = [filled(location, one) for one in units(location, window)]
    assert found == ["/in/2026-11-01/22/*", "/in/2026-11-01/23/*", "/in/2026-11-02/00/*"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("/in/{dat}.csv", "has the part {dat}, which is not known; did you mean date?"),
        ("/in/{day}.csv", "has {day} without {month}"),
        ("/in/{month}.csv", "has {month} without {year}"),
        ("/in/{hour}.csv", "has {hour} without {day}"),
        ("https://rates.example/*.csv", "neither an address nor a package can be listed"),
        ("package:ecb/*.csv", "neither an address nor a package can be listed"),
    ],
)
def test_a_wrong_location_is_one_error_also_where_a_variable_holds_it(
    monkeypatch: pytest.MonkeyPatch, value: str, said: str
) -> None:
    monkeypatch.setenv("HERE", value)
    with pytest.raises(Permanent) as raised:
        location_of(contract("${HERE}"))
    assert said in str(raised.value) and raised.value.todo


def test_variables_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "/in")
    monkeypatch.delenv("THERE", raising=False)
    assert location_of(contract("${HERE}/${THERE:-b}/{date}.csv")) == "/in/b/{date}.csv"
    with pytest.raises(Permanent, match=r"exchange_rates is read from \$\{THERE\}, which is not set"):
        location_of(contract("${THERE}/x"))


def test_a_star_in_the_query_of_an_address_is_a_star() -> None:
    assert not has_wildcard("https://api.example/rates?select=*")


def test_a_wildcard_stays_within_one_name_and_files_come_by_name(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "a.txt", "sub/c.csv", "sub2/c.csv", ".x.csv", "_SUCCESS.csv", "A.CSV"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert names(tmp_path, "*.csv") == ["a.csv", "b.csv"]
    assert names(tmp_path, "sub*/*.csv") == ["sub/c.csv", "sub2/c.csv"]
    assert names(tmp_path, "*/c.csv") == ["sub/c.csv", "sub2/c.csv"]
    assert names(tmp_path, "_*.csv") == ["_SUCCESS.csv"]
    assert names(tmp_path, "none/*.csv") == names(tmp_path, "a.csv/*.csv") == names(tmp_path, "*.json") == []
    (found,) = find(f"{tmp_path}/a.*v").files
    stat = (tmp_path / "a.csv").stat()
    assert (found.size, found.mtime_ns) == (1, stat.st_mtime_ns)


def test_what_a_wildcard_meets_and_does_not_read_is_told(tmp_path: Path) -> None:
    for name in ("orders.csv", "orders.csv.part", "orders.csv.md5"):
        (tmp_path / name).write_text("x")
    (tmp_path / "orders_folder").mkdir()
    listing = find(f"{tmp_path}/orders*")
    assert [Path(one.place).name for one in listing.files] == ["orders.csv"]
    told = "\n".join(listing.skipped)
    assert (
        "orders.csv.part is not read: its name is that of" in told
        and "orders_folder is not read: it is a folder" in told
    )


def test_a_folder_of_a_year_is_not_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(1, 29):
        (tmp_path / f"2026-11-{day:02d}").mkdir()
        (tmp_path / f"2026-11-{day:02d}" / "x.csv").write_text("x")
    listed: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(locations.os, "scandir", lambda folder: listed.append(str(folder)) or scandir(folder))
    assert names(tmp_path, "2026-11-05/*.csv") == ["2026-11-05/x.csv"]
    assert listed == [f"{tmp_path}/2026-11-05"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list any folder")
def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir(mode=0)
    with pytest.raises(Permanent, match="the folder cannot be listed"):
        find(f"{tmp_path}/in/*")


def plainly(name: str, pattern: str) -> bool:
    """Match one sign after the other."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(plainly(name[skip:], pattern[1:]) for skip in range(len(name) + 1))
    return bool(name) and name[0] == pattern[0] and plainly(name[1:], pattern[1:])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text("ab.\n[", max_size=6), st.text("ab.*[", max_size=5))
def test_a_pattern_matches_as_sign_by_sign(name: str, pattern: str) -> None:
    assert matches(name, pattern) == plainly(name, pattern)


@pytest.mark.parametrize("pattern", ["{date}.csv", "*/{date}.csv", "x-{year}-{month}.csv", "x-*"])
def test_of_files_still_to_come_the_folder_must_be_there(tmp_path: Path, pattern: str) -> None:
    locations.check_there(f"{tmp_path}/{pattern}")
    with pytest.raises(Permanent, match="the path does not exist"):
        locations.check_there(f"{tmp_path}/gone/{pattern}")


@pytest.mark.parametrize(
    ("location", "place", "name"),
    [
        ("/in/{date}/*", "/in/2026-11-10/a.jsonl", "2026-11-10/a.jsonl"),
        ("s3://b/in/{date}/*", "s3://b/in/2026-11-10/a.jsonl", "2026-11-10/a.jsonl"),
        ("sftp://partner/in/{date}/*", "sftp://partner/in/2026-11-10/a.jsonl", "2026-11-10/a.jsonl"),
        ("sftp://partner/in/a.jsonl", "sftp://partner/in/a.jsonl", "a.jsonl"),
        ("sftp://partner/*.jsonl", "sftp://partner/a.jsonl", "a.jsonl"),
        ("sftp://me:p*ss@host/in/{date}/*", "sftp://me:p*ss@host/in/2026-11-10/a.jsonl", "2026-11-10/a.jsonl"),
        ("https://me:pass@host/{date}.jsonl", "https://me:pass@host/2026-11-10.jsonl", "https://host/2026-11-10.jsonl"),
    ],
)
def test_a_file_is_known_by_its_path_below_what_all_have_and_without_a_password(
    location: str, place: str, name: str
) -> None:
    assert locations.name_below(location, place) == name


@pytest.mark.parametrize(
    ("location", "period"),
    [("{date}/{hour}.csv", "2026-11-10 09"), ("{year}-{month}.csv", "2026 11"), ("all.csv", "")],
)
def test_the_period_of_a_file_is_that_of_its_date_parts(location: str, period: str) -> None:
    assert locations.period(location, Window.parse("2026-11-10T09:00", "2026-11-10T10:00")) == period


def test_an_address_of_a_day_says_nothing_of_the_others() -> None:
    locations.check_there("http://127.0.0.1:1/{date}.csv")


def of_any_time(folder: Path, pattern: str, *, newest_first: bool = False) -> list[tuple[str, str | None]]:
    found = locations.of_any_time(f"{folder}/{pattern}", newest_first=newest_first)
    return [(str(Path(one.place).relative_to(folder)), day) for one, day in found]


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("{date}.csv", {"2026-10-31.csv": "2026-10-31", "2026-11-01.csv": "2026-11-01", "2026-11-xx.csv": None}),
        ("dt={date}/*.csv", {"dt=2026-10-31/b.csv": "2026-10-31", "dt=2026-11-01/a.csv": "2026-11-01"}),
        ("{date}/x_{date}.csv", {"2026-10-31/x_2026-10-31.csv": "2026-10-31", "2026-10-31/x_2026-11-01.csv": None}),
        ("{day}.{month}.{year}.csv", {"31.10.2026.csv": "2026-10-31", "01.11.2026.csv": "2026-11-01"}),
        ("{year}/{month}/{day}/{hour}/*", {"2026/11/01/09/b": "2026-11-01", "2026/11/01/10/a": "2026-11-01"}),
        ("{date}*.csv", {"2026-10-31.csv": "2026-10-31", "2026-10-31_2.csv": "2026-10-31", "2026-10-31.tmp": None}),
        ("*/{date}*", {"a/2026-10-31": "2026-10-31", "b/2026-10-30": "2026-10-30", "a/2026-10-31.part": None}),
    ],
)
def test_files_of_any_day_come_by_their_time(tmp_path: Path, pattern: str, files: dict[str, str | None]) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    expected = [(name, day) for name, day in files.items() if day]
    assert of_any_time(tmp_path, pattern) == expected
    assert of_any_time(tmp_path, pattern, newest_first=True) == expected[::-1]
    # and they are what the landings of these days read
    days = units(pattern, Window.parse("2026-10-30", "2026-11-02"))
    assert {name for unit in days for name in names(tmp_path, filled(pattern, unit))} == {name for name, _ in expected}


def test_a_location_without_a_pattern_is_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    (tmp_path / "b.csv").touch()
    assert of_any_time(tmp_path, "a.csv") == [("a.csv", None)] and of_any_time(tmp_path, "c.csv") == []
    assert of_any_time(tmp_path, "*.csv", newest_first=True) == [("b.csv", None), ("a.csv", None)]
    address = "https://example.org/{date}.csv"
    assert [(one.place, day) for one, day in locations.of_any_time(address)] == [(address, None)]


def test_the_newest_file_costs_one_listing_per_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 29):
        (tmp_path / f"2026/02/{number:02}").mkdir(parents=True)
        (tmp_path / f"2026/02/{number:02}/x.csv").touch()
    listed = []
    real = os.scandir

    def scandir(path: str) -> object:
        listed.append(str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found, day = next(locations.of_any_time(f"{tmp_path}/{{year}}/{{month}}/{{day}}/*.csv", newest_first=True))
    assert day == "2026-02-28" and found.place.endswith("28/x.csv") and len(listed) == 4


def test_folders_named_by_milliseconds_are_of_their_day(tmp_path: Path) -> None:
    for name in ("1793491200000", "1793404800000", "179349120000"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.gz").touch()
    found = of_any_time(tmp_path, "{milliseconds}/*.gz")
    assert found == [("1793404800000/a.gz", "2026-10-31"), ("1793491200000/a.gz", "2026-11-01")]
    assert locations.is_dated("/in/{milliseconds}/{hour}.gz")


def test_patterns_without_a_file_are_one_line_per_day() -> None:
    missing = [(hour, f"/in/{hour.start:%Y-%m-%d/%H}") for hour in DAYS.hours()[:25]]
    assert locations.say_missing("clicks", missing) == [
        "clicks 2026-10-31: 24 patterns meet no file yet, from /in/2026-10-31/00 to /in/2026-10-31/23",
        "clicks 2026-11-01: /in/2026-11-01/00 does not exist yet",
    ]
