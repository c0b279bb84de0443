"""A dataset is added whole or not at all, over no other file; a check asks for what it needs; the list has every dataset."""

import gzip
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion import releases, sources
from ingestion.columns import Column
from ingestion.contract import PROJECT, Contract, read_contracts
from ingestion.errors import Permanent
from ingestion.file_settings import Dialect, Files
from ingestion.home import Home
from ingestion.land import Landing, Report
from ingestion.window import Window
from operations import datasets
from operations.datasets import newest_day, propose_dataset, write
from operations.propose import Asked, Proposal

NOW = datetime(2026, 11, 3, 15, tzinfo=UTC)
Contracts = Mapping[str, Contract]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    copy = tmp_path / "dbt_project"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns("target", "logs"))
    return copy


@pytest.fixture
def proposal(tmp_path: Path, project: Path) -> Proposal:
    path = tmp_path / "parcels.csv"
    path.write_text("Parcel ID,created_at\np1,2026-11-01T10:00:00Z\np2,2026-11-02T10:00:00Z\n")
    return propose_dataset(Asked("parcels", str(path)), NOW, project)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_dataset_is_written_listed_and_released(project: Path, proposal: Proposal) -> None:
    before = tree(project)
    written = write(proposal, project)
    after = tree(project)
    assert {str(path.relative_to(project)) for path in written} == {
        name for name in after if after[name] != before.get(name)
    }
    assert "parcels" in read_contracts(project) and releases.check(project) == []
    row = next(one for one in datasets.list_datasets(project) if one["dataset"] == "parcels")
    assert list(row.values()) == ["parcels", "parcels", "file", "rows", "parcel_id", "created_at", "1 day", "unknown"]
    with pytest.raises(Permanent, match="is a dataset parcels already"):
        write(proposal, project)
    assert tree(project) == after


class Stopped(Exception):
    """Raised in place of a write."""


def test_what_fails_midway_leaves_nothing(project: Path, proposal: Proposal, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree(project)
    real, stops = datasets._replace, 0
    while True:
        left = iter(range(stops))

        def fail(path: Path, text: str, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise Stopped
            real(path, text)

        with monkeypatch.context() as patch:
            patch.setattr(datasets, "_replace", fail)
            try:
                write(proposal, project)
                break
            except Stopped:
                assert tree(project) == before and not (project / "contracts" / "parcels").exists()
        stops += 1
    # 11 files of models with their descriptions, the release, and the list of datasets
    assert stops == 13


@pytest.mark.parametrize("name", ["models/silver/silver_parcels.sql", "contracts/parcels/v1.yml"])
def test_no_file_is_overwritten(project: Path, proposal: Proposal, name: str) -> None:
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text("mine")
    before = tree(project)
    with pytest.raises(Permanent, match="is there already") as caught:
        write(proposal, project)
    assert tree(project) == before and caught.value.where == str(project / name)


def test_what_a_killed_command_left_is_completed(project: Path, proposal: Proposal) -> None:
    listed = (project / "dbt_project.yml").read_text()
    write(proposal, project)
    after = tree(project)
    (project / "dbt_project.yml").write_text(listed)
    for name in ("silver/silver_parcels.yml", "staging/staging_parcels.yml"):
        (project / "models" / name).unlink()
    write(proposal, project)
    assert tree(project) == after


@pytest.mark.parametrize("name", ["order", "Parcels", "1x", "", "a-b", "final", "record_no", "../x"])
def test_a_name_that_sql_cannot_have_is_refused(name: str, project: Path) -> None:
    with pytest.raises(Permanent, match="cannot be called"):
        propose_dataset(Asked(name, "nothing.csv"), NOW, project)


def test_a_source_is_named_as_a_dag_can_be(project: Path) -> None:
    with pytest.raises(Permanent, match="a source cannot be called 'my post'"):
        propose_dataset(Asked("parcels", "nothing.csv", source="my post"), NOW, project)


def test_a_name_that_is_taken_is_refused(project: Path) -> None:
    with pytest.raises(Permanent, match="is a dataset orders already"):
        propose_dataset(Asked("orders", "nothing.csv"), NOW, project)


def test_a_description_that_is_there_is_not_written_twice(project: Path, proposal: Proposal) -> None:
    (project / "models" / "plan" / "more.md").write_text("{% docs parcels__parcel_id %}\nx\n{% enddocs %}\n")
    with pytest.raises(Permanent, match="describes parcels__parcel_id already"):
        write(proposal, project)


@pytest.mark.parametrize(
    "place", ["https://user:secret@example.org/x.csv", "https://secret@example.org/x.csv", "http://"]
)
def test_an_address_with_a_password_does_not_get_into_a_contract(project: Path, place: str) -> None:
    with pytest.raises(Permanent, match="holds a user or a password") as caught:
        propose_dataset(Asked("parcels", place), NOW, project)
    assert "secret" not in str(caught.value)


def test_a_relative_path_is_written_from_the_root(
    tmp_path: Path, project: Path, proposal: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = propose_dataset(Asked("parcels", "parcels.csv"), NOW, project)
    assert found.sample.place == str(tmp_path / "parcels.csv")


def test_what_no_contract_can_say_leaves_nothing(project: Path, proposal: Proposal) -> None:
    before = tree(project)
    odd = replace(proposal, columns=(replace(proposal.columns[0], type="blob"), *proposal.columns[1:]))
    with pytest.raises(Permanent, match="no contract reads this source as it is") as caught:
        write(odd, project)
    assert tree(project) == before and caught.value.where.endswith("parcels.csv")


def located(location: str, event_time: str | None) -> Contract:
    contract = read_contracts()["exchange_rates"]
    return replace(contract, settings=Files(location), event_time=event_time)


def test_the_newest_day_is_that_of_the_newest_folder_file_or_row(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", tmp_path / "landing")
    for day in ("2026-11-01", "2026-10-30"):
        (home.landing / day).mkdir(parents=True)
    clicks = read_contracts()["clickstream"]
    assert newest_day(home, clicks, NOW).options == "--from 2026-11-01 --to 2026-11-02"
    for day in ("2026-11-01", "2026-10-30"):
        (tmp_path / f"{day}.csv").write_text(f"rate_date,currency\n{day},EUR\n2026-11-02,USD\n2026-10-01,USD\nx,USD\n")
    assert (
        newest_day(home, located(f"{tmp_path}/{{date}}.csv", "rate_date"), NOW).options
        == "--from 2026-11-01 --to 2026-11-02"
    )
    one = located(f"{tmp_path}/2026-11-01.csv", "rate_date")
    assert newest_day(home, one, NOW).options == "--from 2026-11-02 --to 2026-11-03"
    assert newest_day(home, replace(one, event_time=None), NOW).options == "--from 2026-11-03 --to 2026-11-04"
    by_record = replace(one, event_time=None, record_date="rate_date")
    assert newest_day(home, by_record, NOW).options == "--from 2026-11-02 --to 2026-11-03"
    (tmp_path / "wide.csv").write_text("Date,USD,\n2026-10-05,1.1,\n2026-10-06,1.2,\n")
    wide = replace(one, settings=Files(f"{tmp_path}/wide.csv", ("rate_date", "currency", "rate")))
    assert newest_day(home, wide, NOW).options == "--from 2026-10-06 --to 2026-10-07"
    with pytest.raises(Permanent, match="no record of exchange_rates has a time"):
        newest_day(home, replace(one, event_time="currency"), NOW)
    with pytest.raises(Permanent, match="newest day of clickstream"):
        newest_day(replace(home, landing=tmp_path / "none"), clicks, NOW)


def test_the_newest_day_of_lines_is_found_by_the_path_of_their_time(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", tmp_path / "landing")
    lines = [{"meta": {"at": "2026-11-02T10:00:00Z"}}, {"meta": {"at": "2026-11-01T10:00:00Z"}}, {"meta": {}}, [1]]
    body = "".join(f"{json.dumps(line)}\n" for line in lines).encode() + b"{broken\n\xff\n"
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(body))
    times = Column("rate_date", "timestamp", source_names=("$.meta.at",))
    rates = located(f"{tmp_path}/a.jsonl.gz", "rate_date")
    contract = replace(rates, format="json_lines", columns=(times, *rates.columns[1:]))
    assert newest_day(home, contract, NOW).options == "--from 2026-11-02 --to 2026-11-03"
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(body)[:-20])
    with pytest.raises(Permanent, match="cannot be read: truncated"):
        newest_day(home, contract, NOW)


def test_the_newest_day_of_a_dialect_is_read_by_the_contract(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", tmp_path / "landing")
    (tmp_path / "a.csv").write_bytes("2026-11-02|5 €\n2026-11-01|x\nbad\n".encode("cp1252"))
    contract = located(f"{tmp_path}/a.csv", "rate_date")
    written = Dialect(delimiter="|", encoding="cp1252", header=("rate_date", "rate"))
    said = replace(contract, settings=Files(f"{tmp_path}/a.csv", csv=written))
    assert newest_day(home, said, NOW).options == "--from 2026-11-02 --to 2026-11-03"
    with pytest.raises(Permanent, match="is not known"):
        newest_day(home, replace(contract, settings=Files("https://example.org/{date}.csv")), NOW)
    with pytest.raises(Permanent, match="no file is there"):
        newest_day(home, replace(contract, settings=Files(f"{tmp_path}/none/*.csv")), NOW)


@pytest.mark.parametrize(("name", "said"), [("ordrs", "did you mean orders"), ("decisions", "writes it itself")])
def test_a_check_of_what_has_no_source_is_refused(tmp_path: Path, name: str, said: str) -> None:
    home = Home(tmp_path / "home", tmp_path / "landing")
    with pytest.raises(Permanent) as caught:
        datasets.check(home, name, None, NOW)
    assert said in str(caught.value) and not home.root.exists()


def test_a_check_lands_one_dataset_of_a_source_where_others_are_on(
    tmp_path: Path, project: Path, proposal: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(replace(proposal, asked=replace(proposal.asked, source="post")), project)
    two = replace(proposal, asked=replace(proposal.asked, name="boxes", source="post"))
    write(two, project)
    monkeypatch.setenv("CLEARWELL_SOURCES", "post, exchange_rates")
    landed: list[set[str]] = []

    def ingest(source: str, window: Window, home: Home, at: datetime, report: Report, contracts: Contracts) -> Landing:
        landed.append({name for name, one in contracts.items() if one.source == source})
        return real(source, window, home, at, report, contracts)

    real = sources.ingest
    monkeypatch.setattr(sources, "ingest", ingest)
    monkeypatch.setattr(datasets, "_parsed", lambda *_: [])
    checked = datasets.check(Home(tmp_path / "home", tmp_path / "landing"), "parcels", None, NOW, project)
    assert (checked.records, landed) == (2, [{"parcels"}])


def test_a_path_is_read_from_the_name_it_begins_with() -> None:
    clicks = read_contracts()["clickstream"]
    columns = tuple(
        replace(one, source_names=("$.context.page.url",)) if one.name == "url" else one for one in clicks.columns
    )
    found = datasets._found_at_source(replace(clicks, columns=columns), ["event_id", "context", "more"])
    assert found == {"event_id": "event_id", "url": "context"}
    assert datasets._found_at_source(replace(clicks, columns=columns), ["url"]) == {}
