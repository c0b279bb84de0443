"""Whatever fails, what is told names nobody: not a log, a page, an alert, a number, a finding, a message or an event of lineage.

A person with recognizable values is in a shop whose every fault is provoked. The values are searched for in all that Clearwell tells,
and in every file of the home outside of the tables and batches that hold them. Then the person is forgotten, and is in no file at all.
"""

import json
import shlex
import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

import warehouse.build
from cli.main import main
from ingestion.home import Home
from operations import runs
from tests.pipeline.delivery import LINE, ORDER, land_lines, land_rows
from tests.pipeline.test_forget import CUSTOMER, everything, left
from tests.unit.operations.receivers import web
from tests.unit.operations.test_alerts import Inbox
from warehouse import dbt, state
from warehouse.dbt import Expectation
from warehouse.plan import Build

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = datetime(2026, 11, 1, 10, tzinfo=UTC)
ID, VISITOR, MAIL, NAME = "cust-c4n4ry", "visitor-c4n4ry", "c4n4ry@shop.example", "Canary Person"
SECRET = "s3cretT0kenOfAnEndpoint"
CANARIES = (ID, VISITOR, MAIL, NAME, SECRET)
# A name in place of a code. Accounts are kept by currency, so this is a currency to them; and whoever asks for a suggestion is told
# which value to allow. Everything else is to be silent about it too.
MISPLACED = "Somebody Misplaced"
# Tables of ops with a column for the currency, or for the keys of a restated row of gold.
MAY_SAY_CURRENCIES = {"ledger", "batch_dates", "reconciliation_amounts", "restatements"}
MAY_SAY_CODES = ("ledger", "ledger --recount", "dead-letters suggest")


@dataclass
class Told:
    """All that was told, by what told it."""

    texts: dict[str, str] = field(default_factory=dict)

    def keep(self, name: str, text: str) -> None:
        self.texts[f"{len(self.texts)} {name}"] = text

    def with_canaries(self) -> dict[str, str]:
        """Return what is around each canary."""
        return {
            f"{name}: {one}": text[max(0, place - 200) : place + 60]
            for name, text in self.texts.items()
            for one in (*CANARIES, MISPLACED)
            if (place := text.find(one)) >= 0 and not (one == MISPLACED and name.partition(" ")[2] in MAY_SAY_CODES)
        }


def person(**changes: str) -> dict[str, str | None]:
    at = "2026-11-01 09:00:00+00"
    return dict(zip(CUSTOMER, [ID, MAIL, NAME, "DE", at, at], strict=True)) | changes


def order(one: str, **changes: str | None) -> dict[str, str | None]:
    at = "2026-11-01 10:05:00+00"
    return dict(zip(ORDER, [one, ID, "paid", "EUR", "card", "DE", "10.00", at, at], strict=True)) | changes


def item(one: str, **changes: str) -> dict[str, str | None]:
    return dict(zip(LINE, [one, "1", "p1", "1", "10.00", "0", "2026-11-01 10:05:00+00"], strict=True)) | changes


def event(one: str, **changes: object) -> str:
    at = f"{HOUR:%Y-%m-%d}T10:15:00Z"
    body = {"event_id": one, "event_type": "page_view", "event_time": at, "visitor_id": VISITOR, "customer_id": ID}
    return json.dumps(body | changes)


# The person's values where they belong, and where they do not: in columns that are not personal, and in lines that are cut.
ODD_EVENTS = [
    line
    for n in range(9)
    for line in (
        event(f"b1-{n}", event_time=MAIL),
        event(f"b2-{n}", quantity=NAME),
        event(f"b3-{n}", event_type="purchase", currency=MISPLACED, unit_price=NAME, quantity="1"),
        event(f"b4-{n}", country=MISPLACED),
        f'{{"event_id": "b5-{n}", "customer_id": "{ID}", "user_agent": "{NAME}',
        f"{NAME} <{MAIL}>",
        json.dumps({"event_id": f"b6-{n}", "event_type": MISPLACED, "visitor_id": VISITOR}),
    )
]
ODD_ORDERS = [
    row
    for n in range(9)
    for row in (
        order(f"o-mail-{n}", total_amount=MAIL),
        order(f"o-name-{n}", status=MISPLACED),
        order(f"o-currency-{n}", currency=MISPLACED),
        order(f"o-country-{n}", shipping_country=MISPLACED),
        order(f"o-time-{n}", ordered_at=MAIL),
    )
]


def deliver(home: Home) -> None:
    land_rows(
        home,
        "customers",
        CUSTOMER,
        [person(), person(customer_id="c1", email="c1@shop.example", full_name="Customer One", created_at=MAIL)],
        NOW,
    )
    fine = [order(f"o{number}", customer_id=f"c{number}") for number in range(40)]
    land_rows(home, "orders", ORDER, [*fine, order("o-one"), *ODD_ORDERS], NOW)
    sold = [f"o{number}" for number in range(40)] + ["o-one", "o-currency-1"]
    lines = [*map(item, sold), item("o-mail-1", quantity=NAME)]
    land_rows(home, "order_items", LINE, lines, NOW)
    others = [event(f"e{number}", visitor_id=f"v{number}", customer_id=f"c{number}") for number in range(90)]
    land_lines(home, HOUR, [event("e-one"), event("e-two"), *ODD_EVENTS, *others], NOW)


@contextmanager
def typed(home: Home, told: Told, **environment: str) -> Iterator[Callable[..., int]]:
    """Yield a function that types a command, and keeps what it tells, also as a structured log."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"CLEARWELL_HOME": str(home.root), "CLICKSTREAM_LANDING": str(home.landing)}.items():
            patch.setenv(name, value)
        patch.setenv("CLEARWELL_SOURCES", "orders until 2026-11-02, clickstream until 2026-11-02")
        patch.setenv("OPENLINEAGE_DISABLED", "false")
        for name, value in environment.items():
            patch.setenv(name, value)

        def run(command: str) -> int:
            shown = CliRunner().invoke(main, shlex.split(command))
            told.keep(command, shown.output)
            if shown.exc_info and not isinstance(shown.exception, SystemExit | None):
                told.keep(command, "".join(traceback.format_exception(*shown.exc_info)))
            return shown.exit_code

        yield run


@contextmanager
def restored(home: Home) -> Iterator[None]:
    """Let a fault damage the state, and put it back."""
    aside = home.root.parent / "state.duckdb"
    shutil.copyfile(home.state, aside)
    try:
        yield
    finally:
        shutil.copyfile(aside, home.state)


def poison(path: Path, table: str, column: str) -> None:
    """Replace a table by a view that fails with a message that quotes a value, as a failed cast does."""
    failing = f"case when {column} is null or true then error('the value {MAIL} is odd') end::varchar as {column}"
    with duckdb.connect(str(path)) as file:
        file.execute(f"create table {table}_before as from {table}")
        file.execute(f"drop table {table}")
        file.execute(f"create view {table} as select * replace ({failing}) from {table}_before")


def last_build(home: Home) -> Build:
    return Build(home, max(path.name for path in home.builds.iterdir()))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Told]]:
    """Provoke every fault, and return the home with all that was told."""
    root = tmp_path_factory.mktemp("canaries")
    home, told = Home(root / "home", root / "home" / "landing"), Told()
    home.root.mkdir()
    deliver(home)
    with web() as server:
        endpoints = (
            f"mmost://127.0.0.1:{server.port}/{SECRET} json://me:{SECRET}@127.0.0.1:9/{SECRET}?retry=0&rto=1&cto=1"
        )
        with typed(home, told, CLEARWELL_ALERTS=endpoints, CLEARWELL_LOG="json") as run:
            for fault in FAULTS:
                fault(home, told, run)
        told.keep("webhook", "\n".join(map(str, server.texts())))
    yield home, told


def held(home: Home, told: Told, run: Callable[[str], int]) -> None:
    """Too many records of the orders and of the clicks are refused: their batches are held. Then they are accepted."""
    assert run("build") == 0
    assert run("watch") == 1 and run("status") == 1
    rows = state.read(home.state, "ops.held", "select distinct batch_id from ops.held where batch_id = broken_batch_id")
    assert rows, "a batch is held"
    for row in rows:
        assert run(f"builds accept held:{row['batch_id']} --reason meant") == 0
    assert run("build") == 0 and run("watch") == 1


def model_fails(home: Home, told: Told, run: Callable[[str], int]) -> None:
    """A model of dbt fails, and its message quotes a value."""
    land_lines(home, HOUR.replace(hour=11), [event("m1", event_time="2026-11-01T11:15:00Z")], NOW)
    with restored(home):
        poison(home.state, "records.clickstream", "url")
        assert run("build") == 1
        assert "dbt could not build the model" in list(told.texts.values())[-1]
        keep_files(home, told)


def check_errors(home: Home, told: Told, run: Callable[[str], int]) -> None:
    """The checks of a table in dbt fail, as does its reading for Great Expectations, and the messages quote a value."""
    transform = warehouse.build._transform

    def and_poison(build: Build, *more: object, **named: object) -> None:
        transform(build, *more, **named)  # type: ignore[arg-type]
        poison(build.file, "gold.visitor_features", "visitor_id")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warehouse.build, "_transform", and_poison)
        assert run("build") == 1
    keep_files(home, told)


def build_is_refused(home: Home, told: Told, run: Callable[[str], int]) -> None:
    """Records vanish from the state, so that the accounts do not balance; expectations on columns with ids fail, one of them with
    arguments that make Great Expectations itself fail."""
    of = {
        "customers": [
            Expectation("expect_column_values_to_be_in_set", {"column": "customer_id", "value_set": ["nobody"]}),
            Expectation("expect_column_values_to_match_regex", {"column": "customer_id", "regex": "^nobody$"}),
            Expectation("expect_column_values_to_be_between", {"column": "customer_id", "min_value": 3}),
        ],
        "visitor_features": [
            Expectation("expect_column_values_to_be_in_set", {"column": "visitor_id", "value_set": ["nobody"]}),
            Expectation(
                "expect_column_pair_values_to_be_equal", {"column_A": "visitor_id", "column_B": "last_product_id"}
            ),
        ],
    }
    with restored(home), pytest.MonkeyPatch.context() as patch:
        patch.setattr(dbt, "expectations", lambda _: of)
        with duckdb.connect(str(home.state)) as file:
            file.execute(f"delete from records.clickstream where visitor_id = '{VISITOR}'")
        assert run("build") == 1
        refusal = list(told.texts.values())[-1]
        assert "is refused" in refusal and "expectation" in refusal and "dates_balance" in refusal
        run(f"builds show {last_build(home).build_id}")
        run("status")
        keep_files(home, told)


def unexpected(home: Home, told: Told, run: Callable[[str], int]) -> None:
    """Clearwell itself fails with words that hold values, in a command and in a task of Airflow."""
    for error in (RuntimeError(f"{NAME} <{MAIL}>"), duckdb.ConversionException(f"Conversion Error: '{MAIL}' is odd")):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        for log in ("json", ""):
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("CLEARWELL_LOG", log)
                patch.setattr(warehouse.build, "_plan", fail)
                assert run("build") == 1
        box = Inbox()
        runs.failed(home, NOW, ("build_warehouse", "publish"), "x", "r1", error, [box], partial(told.keep, "callback"))
        told.keep("alert", str(box.got))
    keep_files(home, told)


def all_is_well_again(home: Home, told: Told, run: Callable[[str], int]) -> None:
    """The last build is published, and everything is looked at."""
    assert run("build") == 0
    for command in LOOK:
        run(command)
    keep_files(home, told)


FAULTS: tuple[Callable[[Home, Told, Callable[[str], int]], None], ...] = (
    held,
    model_fails,
    check_errors,
    build_is_refused,
    unexpected,
    all_is_well_again,
)
LOOK = (
    "status",
    "status --json",
    "ledger",
    "ledger --recount",
    "metrics",
    "control-room",
    "batches list --json",
    "builds list --json",
    "dead-letters list",
    "dead-letters list --json",
    "dead-letters suggest",
    "builds list",
    "watch",
    "maintain --dry-run",
    "repair --dry-run",
    "hash",
    "describe",
    "describe customers",
)


def keep_files(home: Home, told: Told) -> None:
    """Keep the text of every file of the home outside of what landed and of the databases, with what tables of builds tell."""
    for path in sorted(home.root.rglob("*")):
        name = str(path.relative_to(home.root))
        if not path.is_file() or name.startswith(("bronze/", "landing/")) or path.suffix in (".duckdb", ".wal"):
            continue
        told.keep(name, path.read_bytes().decode("utf-8", "replace"))


def of_tables(path: Path, schema: str) -> dict[str, str]:
    with state.connect(path) as connection:
        tables = state.rows(connection, f"select table_name as t from duckdb_tables() where schema_name = '{schema}'")
        return {row["t"]: str(state.rows(connection, f'from {schema}."{row["t"]}"')) for row in tables}


def of_schema(path: Path, schema: str) -> str:
    return "\n".join(of_tables(path, schema).values())


def test_the_person_is_where_it_belongs(told: tuple[Home, Told]) -> None:
    """So the tests below can fail."""
    home, _ = told
    assert {MAIL, NAME, ID, VISITOR} <= {one for one in CANARIES if one in everything(home.state)}
    assert {hit for hits in left(home).values() for hit in hits} == {ID, VISITOR, MAIL, NAME}


def test_nothing_that_is_told_names_anybody(told: tuple[Home, Told]) -> None:
    assert len(told[1].texts) > 100 and any("webhook" in name for name in told[1].texts)
    assert told[1].with_canaries() == {}


def test_tables_of_ops_name_nobody(told: tuple[Home, Told]) -> None:
    for path in (told[0].state, told[0].published):
        text = of_schema(path, "ops")
        assert [one for one in CANARIES if one in text] == [], path


def test_a_name_in_place_of_a_code_is_in_the_accounts_by_currency_alone(
    told: tuple[Home, Told],
) -> None:
    for path in (told[0].state, told[0].published):
        found = {table for table, text in of_tables(path, "ops").items() if MISPLACED in text}
        assert found and found <= MAY_SAY_CURRENCIES, path


def test_readers_see_ids_and_no_name_or_address(told: tuple[Home, Told]) -> None:
    text = everything(told[0].published)
    assert ID in text and MAIL not in text and NAME not in text


def test_after_forget_nobody_is_anywhere(told: tuple[Home, Told]) -> None:
    """Also not in what the faults left behind: builds that broke off or were refused, logs, alerts and events.

    A name in place of a country, a status or a currency is in no column that is personal. Whoever forgets has to say it.
    """
    home, _ = told
    assert MISPLACED in of_schema(home.published, "gold"), "so this test can fail"
    later = Told()
    with typed(home, later) as run:
        assert run(f"forget {ID} --value '{MISPLACED}' --reason asked") == 0
        assert run(f"forget {ID} --check --value {MAIL} --value '{MISPLACED}'") == 0, list(later.texts.values())[-1]
    assert left(home) == {}
    for path in (home.state, home.published):
        assert MISPLACED not in everything(path), path
