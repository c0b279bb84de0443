"""From an ugly CSV that nobody has described to silver, by commands alone, in a separate checkout."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pipeline import checkout as own
from tests.pipeline.checkout import ROOT, make_checkout

HEADER = ["Bestell-Nr.", "E-Mail", "Bestelldatum", "Straße", "BETRAG", "Währung", "group", "Updated At"]
NAMES = ["bestell_nr", "e_mail", "bestelldatum", "strasse", "betrag", "waehrung", "group_value", "updated_at"]
DAYS = (date(2026, 11, 1), date(2026, 11, 2))
ROWS = 150


def row(number: int, day: date, version: int = 0) -> list[str]:
    """Return the texts of one order; its id has zeros in front."""
    at, changed = f"{day:%d.%m.%Y} {number % 24:02}:30", f"{day}T23:59:0{version}Z"
    amount = f"1.{number:03},{number % 10}" if number % 3 else str(number)
    return [f"{number:06}", f"k{number}@example.org", at, f"Weg {number}; Haus", amount, "EUR", f"g{version}", changed]


def delivery(day: date) -> list[list[str]]:
    """Return a day's rows: new ones, exact duplicates, a later version of one of the day, and one without an id."""
    first = 1 + DAYS.index(day) * ROWS
    rows = [row(number, day) for number in range(first, first + ROWS)]
    rows += [rows[0], rows[1], row(first + 2, day, version=5)]
    return [*rows, ["", *row(first, day)[1:]]]


def body(rows: list[list[str]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows([HEADER, *rows])
    return written.getvalue() + "000999,too,short\n"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_checkout(tmp_path_factory.mktemp("checkout"), "")
    (root / "exports").mkdir()
    for day in DAYS:
        (root / "exports" / f"{day}.csv").write_text(body(delivery(day)))
    return root


def type_in(checkout: Path, *commands: str) -> list[tuple[str, int]]:
    return own.type_in(checkout, *commands, EXPORTS=str(checkout / "exports"))


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "target" not in path.parts and "logs" not in path.parts
    }


def write_products(checkout: Path, rows: list[str], at: int) -> None:
    path = checkout / "exports" / "produkte.csv"
    path.write_text("".join(f"{line}\n" for line in ["Produkt-ID,Bezeichnung,Preis", *rows]))
    os.utime(path, (at, at))


ADD = "clearwell datasets add bestellungen --from '${EXPORTS}/{date}.csv' --owner shop-team --json"


@pytest.fixture(scope="module")
def added(checkout: Path) -> Iterator[dict[str, Any]]:
    """Add two datasets; a dry run before it writes nothing."""
    before = tree(checkout / "dbt_project")
    write_products(checkout, ["p1,Tasse,2.5", "p2,Teller,3", "p3,Topf,20"], 1_793_500_000)
    dry, done, again, products, checked = type_in(
        checkout,
        f"{ADD} --dry-run",
        ADD,
        ADD,
        "clearwell datasets add produkte --from '${EXPORTS}/produkte.csv' --json",
        "clearwell datasets check bestellungen --json",
    )
    assert dry[1] == 0, dry[0]
    after = tree(checkout / "dbt_project")
    assert [name for name in before if name not in after] == []
    assert [name for name in before if after[name] != before[name]] == ["dbt_project.yml"]
    assert json.loads(dry[0]) | {"written": None} == json.loads(done[0]) | {"written": None}
    assert json.loads(dry[0])["written"] == [] and done[1] == 0
    assert again[1] == 1 and "there is a dataset bestellungen already" in again[0]
    assert not (checkout / "data" / "bronze").exists()
    yield {"proposal": json.loads(done[0]), "products": json.loads(products[0]), "checked": checked}


def test_the_proposal_says_what_is_in_the_file(added: dict[str, Any]) -> None:
    proposal = added["proposal"]
    assert (proposal["key"], proposal["event_time"], proposal["version"]) == (
        ["bestell_nr"],
        "bestelldatum",
        "updated_at",
    )
    assert proposal["money"] == ["betrag", "waehrung"]
    columns = {one["column"]: one for one in proposal["columns"]}
    assert list(columns) == NAMES and [one["at_source"] for one in columns.values()] == HEADER
    kinds = ["varchar", "varchar", "timestamp", "varchar", "decimal(18,4)", "varchar", "varchar", "timestamp"]
    assert [one["type"] for one in columns.values()] == kinds
    assert [name for name, one in columns.items() if one["personal"]] == ["e_mail", "strasse"]
    refused = {one["reason"]: one["rows"] for one in proposal["refused"]}
    assert refused == {"missing:bestell_nr": 2, "ragged_row": 2}
    assert columns["bestell_nr"]["missing"] == 2 and columns["bestell_nr"]["distinct"] == 2 * ROWS


def test_a_check_lands_the_newest_day_aside(added: dict[str, Any]) -> None:
    text, status = added["checked"]
    found = json.loads(text)
    assert status == 0 and found["window"] == "2026-11-02T00:00:00Z/2026-11-03T00:00:00Z"
    fates = {one["fate"]: one["records"] for one in found["fates"]}
    assert fates == {"current": ROWS, "duplicate": 2, "superseded": 1, "dead_letter": 2}
    assert {one["reason"]: one["records"] for one in found["refused"]} == {"missing:bestell_nr": 1, "ragged_row": 1}
    assert [one["key"] for one in found["colliding"]] == [f"{ROWS + 3:06}"]
    assert (found["unknown"], found["lacking"], found["records"]) == ([], [], ROWS + 5)


def expected() -> list[dict[str, Any]]:
    """Compute silver in plain Python: of each id, the row that was changed last."""
    best: dict[str, list[str]] = {}
    for day in DAYS:
        for one in delivery(day):
            if one[0] and (one[0] not in best or one[-1] > best[one[0]][-1]):
                best[one[0]] = one
    found = []
    for _, texts in sorted(best.items()):
        values: dict[str, Any] = dict(zip(NAMES, texts, strict=True))
        values["bestelldatum"] = datetime.strptime(values["bestelldatum"], "%d.%m.%Y %H:%M")
        values["updated_at"] = datetime.fromisoformat(values["updated_at"]).replace(tzinfo=None)
        found.append(values | {"betrag": Decimal(values["betrag"].replace(".", "").replace(",", "."))})
    return found


def test_silver_equals_plain_python(checkout: Path, added: dict[str, Any]) -> None:
    names = ", ".join(NAMES)
    *done, silver, ledger, recount, contracts = type_in(
        checkout,
        "clearwell ingest bestellungen --from 2026-11-01 --to 2026-11-03",
        "clearwell ingest produkte --from 2026-11-01 --to 2026-11-02",
        "clearwell build",
        f'clearwell sql --json "select {names}, bestellungen_date from silver.bestellungen order by bestell_nr"',
        "clearwell ledger --dataset bestellungen --json",
        "clearwell ledger --recount",
        "clearwell contracts check",
    )
    assert [status for _, status in [*done, recount, contracts]] == [0] * 5, done
    rows = json.loads(silver[0])
    assert {one.pop("bestellungen_date") for one in rows} == {str(day) for day in DAYS}
    for one in rows:
        one["betrag"] = Decimal(str(one["betrag"]))
        for name in ("bestelldatum", "updated_at"):
            one[name] = datetime.fromisoformat(one[name])
    assert rows == expected() and len(rows) == 2 * ROWS
    (counts,) = json.loads(ledger[0])
    fates = [counts[name] for name in ("bronze", "current", "superseded", "duplicate", "dead_letter")]
    assert fates == [2 * (ROWS + 5), 2 * ROWS, 2, 4, 4]


def test_the_files_pass_the_checks_of_the_project(checkout: Path, added: dict[str, Any]) -> None:
    """Run the checks of descriptions and of SQL on the checkout."""
    for name in ("test_descriptions.py", "test_gold.py"):
        (checkout / "tests" / "unit" / "project").mkdir(parents=True, exist_ok=True)
        (checkout / "tests" / "unit" / "project" / name).write_text(
            (ROOT / "tests" / "unit" / "project" / name).read_text()
        )
    (checkout / "README.md").write_text((ROOT / "README.md").read_text())
    (checkout / ".sqlfluff").write_text((ROOT / ".sqlfluff").read_text())
    models = [name for name in added["proposal"]["written"] if name.endswith(".sql")]
    for command in (
        ["pytest", "-q", "-p", "no:cacheprovider", "tests/unit/project"],
        ["sqlfluff", "lint", "--disable-progress-bar", *models],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=checkout,
            env={"PYTHONPATH": str(checkout), "PATH": "/usr/bin:/bin", "HOME": str(checkout)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    contract = yaml.safe_load((checkout / "dbt_project/models/staging/staging_bestellungen.yml").read_text())
    assert contract["sources"][0]["tables"][0]["config"]["meta"]["location"] == "${EXPORTS}/{date}.csv"


def test_a_dataset_without_times_keeps_what_the_newest_file_says(checkout: Path, added: dict[str, Any]) -> None:
    proposal = added["products"]
    assert (proposal["key"], proposal["event_time"], proposal["version"]) == (["produkt_id"], None, "file_time")
    write_products(checkout, ["p1,Tasse,1.5", "p2,Teller,3", "p4,Kanne,9"], 1_793_600_000)
    *done, silver = type_in(
        checkout,
        "clearwell ingest produkte --from 2026-11-02 --to 2026-11-03",
        "clearwell build",
        'clearwell sql --json "select produkt_id, preis from silver.produkte order by 1"',
    )
    assert [status for _, status in done] == [0, 0], done
    found = {one["produkt_id"]: Decimal(str(one["preis"])) for one in json.loads(silver[0])}
    assert found == {"p1": Decimal("1.5"), "p2": Decimal(3), "p3": Decimal(20), "p4": Decimal(9)}


def test_a_check_of_what_is_all_refused_exits_with_1(checkout: Path, added: dict[str, Any]) -> None:
    write_products(checkout, [",Tasse,1.5", ",Teller,3"], 1_793_700_000)
    before = tree(checkout / "data")
    ((refused, status), *errors) = type_in(
        checkout,
        "clearwell datasets check produkte",
        "clearwell datasets check nothing",
        "clearwell datasets check bestellungen --from 2026-11-01",
    )
    assert status == 1 and "missing:produkt_id" in refused and "every record is refused" in refused
    assert [code for _, code in errors] == [1, 2]
    write_products(checkout, ["p1,Tasse,1.5"], 1_793_700_000)
    path = checkout / "exports" / "produkte.csv"
    path.write_text(path.read_text().replace("Preis", "Menge"))
    ((renamed, status),) = type_in(checkout, "clearwell datasets check produkte")
    assert status == 0 and "does not read: Menge" in renamed and "does not have: preis" in renamed
    path.unlink()
    ((unreadable, status),) = type_in(checkout, "clearwell datasets check produkte")
    assert status == 1 and "cannot be read" in unreadable
    assert tree(checkout / "data") == before
