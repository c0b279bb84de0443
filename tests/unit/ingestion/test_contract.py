import os
from datetime import timedelta
from pathlib import Path

import pytest

from ingestion import contract
from ingestion.contract import CADENCES, Column, Contract, Money, parse_duration, read_contracts, say_duration
from ingestion.errors import Permanent
from ingestion.service_level import ServiceLevel
from ingestion.table_settings import Table

YAML = """
sources:
  - name: bronze
    tables:
      - name: orders
        config: {meta: {contract_version: 3, source: orders, connection: shop, table: shop.orders, format: rows, key: [order_id], version_column: updated_at,
                 event_time: ordered_at, cadence: 1 hour, lateness: 2 days, breaker: {share: 0.2}, record_date: ordered_at,
                 expect_records_every: 30 minutes, owner: us, longest_record: 5000, money: {column: amount, amount: amount * 2}, part_of: orders}}
        columns:
          - {name: order_id, data_type: varchar, description: "The\\n order.", config: {meta: {required: true}}}
          - {name: status, data_type: varchar, config: {meta: {allowed: [created, paid], personal: true}}}
          - {name: amount, data_type: "decimal(18,4)", config: {meta: {min: -5, max: 1e3, excluded: [0]}}}
          - {name: ordered_at, data_type: timestamp}
          - {name: updated_at, data_type: timestamp}
  - name: state
    tables: [{name: builds}]
"""


@pytest.fixture
def write(tmp_path: Path):
    def one(text: str, name: str = "orders") -> Path:
        folder = tmp_path / "models" / "staging"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"staging_{name}.yml").write_text(text)
        return tmp_path

    return one


def test_a_contract_is_read_whole(write):
    assert read_contracts(write(YAML)) == {
        "orders": Contract(
            dataset="orders",
            version=3,
            source="orders",
            kind="table",
            settings=Table("shop", ("shop", "orders")),
            format="rows",
            key=("order_id",),
            version_column="updated_at",
            event_time="ordered_at",
            cadence=timedelta(hours=1),
            lateness=timedelta(days=2),
            expect_records_every=timedelta(minutes=30),
            owner="us",
            service_level=ServiceLevel(timedelta(hours=3), 0.999, 0.2, timedelta(days=28)),
            longest_record=5000,
            columns=(
                Column("order_id", "varchar", required=True, description="The order."),
                Column("status", "varchar", allowed=("created", "paid"), personal=True),
                Column("amount", "decimal(18,4)", min="-5", max="1e3", excluded=("0",)),
                Column("ordered_at", "timestamp"),
                Column("updated_at", "timestamp"),
            ),
            money=Money("amount", "amount * 2"),
            record_date="ordered_at",
            part_of="orders",
            breaker_share=0.2,
        )
    }


def test_a_source_may_have_other_names(write):
    text = YAML.replace("personal: true", "from: [State, Order Status]")
    contract = read_contracts(write(text))["orders"]
    assert contract.at_source("status") == ("State", "Order Status")
    assert contract.at_source("amount") == ("amount",)
    assert contract.in_source(["status", "amount", None], ["order status", "Amount"]) == {
        "status": "order status",
        "amount": "Amount",
    }


def test_a_line_may_have_several_names_for_a_column_but_no_two_columns_share_one(write):
    text = YAML.replace(
        "source: orders, connection: shop, table: shop.orders, format: rows",
        "source: clickstream, kind: hours, format: json_lines",
    )
    several = read_contracts(write(text.replace("personal: true", "from: [State, $.now.status]")))
    assert several["orders"].at_source("status") == ("State", "$.now.status")
    with pytest.raises(Permanent, match=r"orders.status.from is order_id, which order_id is read from already"):
        read_contracts(write(text.replace("personal: true", "from: [State, order_id]")))


def test_two_columns_of_a_line_may_be_read_from_one_name_if_both_say_so(write):
    text = YAML.replace(
        "source: orders, connection: shop, table: shop.orders, format: rows",
        "source: clickstream, kind: hours, format: json_lines",
    )
    said = text.replace("personal: true", "from: ID").replace("required: true", "required: true, from: ID", 1)
    contract = read_contracts(write(said))["orders"]
    assert [one.name for one in contract.columns if one.at_source == ("ID",)] == ["order_id", "status"]
    with pytest.raises(Permanent, match=r"orders.status.from is Id, which order_id is read from already"):
        read_contracts(write(said.replace("from: ID}", "from: Id}", 2).replace("from: Id}", "from: ID}", 1)))


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("name: status", "name: batch_id", "orders.batch_id is a column that Clearwell adds"),
        ("name: status", "name: text_order_id", "orders.text_order_id is a column that Clearwell adds"),
        ("name: status", "name: select", "orders.select is an SQL keyword"),
        ("cadence: 1 hour", "cadence: soon", "orders.cadence"),
        ("cadence: 1 hour", "cadence: 0 hours", "orders.cadence"),
        ("key: [order_id]", "key: order_id", "orders.key"),
        ("format: rows", "format: csv", "orders.format"),
        ("contract_version: 3", "contract_version: new", "orders.contract_version"),
        ("owner: us", "owner: ", "orders.owner"),
        ("longest_record: 5000", "longest_record: 1 MB", "orders.longest_record"),
        ("data_type: varchar, description", "type: varchar, description", "orders.order_id"),
        ("sources:", "sources: {", "not YAML"),
        ("sources:", "sources: 3\nother:", "must be a list"),
        # fields that nothing reads
        ("expect_records_every", "expect_record_every", "did you mean expect_records_every"),
        ("owner: us", "owner: us, on: 1", "orders.True is not known"),
        ("personal: true", "personnel: true", "orders.status.personnel is not known; did you mean personal"),
        ("share: 0.2", "records: 10", "orders.breaker.records is not known"),
        ("amount: amount * 2", "ammount: amount", "did you mean amount"),
        ("owner: us", "owner: us, owner: them", "owner appears twice"),
        ("{name: ordered_at, data_type", "{name: ordered_at, required: true, data_type", "must be under config"),
        ("config: {meta: {required: true}}", "meta: {required: true}", "must be under config"),
        ("expect_records_every: 30 minutes", "expect_records_every: ", "orders.expect_records_every is empty"),
        # names and values that do not exist
        ("cadence: 1 hour", "cadence: 2 hours", "must be one of: 1 hour or 1 day"),
        (
            "key: [order_id]",
            "key: [orderid]",
            "orders.key names orderid, which is not a column of the contract; did you mean order_id",
        ),
        ("version_column: updated_at", "version_column: updated", "orders.version_column"),
        ("event_time: ordered_at", "event_time: at", "orders.event_time"),
        ("record_date: ordered_at", "record_date: placed", "orders.record_date"),
        ("column: amount", "column: amont", "orders.money.column names amont"),
        (
            "part_of: orders",
            "part_of: order",
            "orders.part_of names order, which is not a dataset; did you mean orders",
        ),
        ("connection: shop", "kind: tabel, connection: shop", "did you mean table"),
        ("table: shop.orders, ", "", "orders.source does not say where orders comes from"),
        ("format: rows", "format: json_lines", "orders.format must be one of rows"),
        ("owner: us", "owner: us, location: here.csv", "orders.location is no setting of a source of kind table"),
        ("owner: us", "owner: us, unpivot: [order_id, status]", "orders.unpivot"),
        # names at the source
        ("personal: true", "from: 3", "orders.status.from must be text"),
        ("personal: true", "from: ''", "orders.status.from is ''"),
        ("personal: true", "from: []", "orders.status.from is empty"),
        ("personal: true", 'from: "a\\"b"', "no quotation mark"),
        ("personal: true", "from: Amount", "orders.amount.from is amount, which status is read from already"),
        ("personal: true", "from: [a, A]", "orders.status.from is A, which status is read from already"),
        # values of the wrong type
        ("owner: us", "owner: us, dated_key: 'yes'", "orders.dated_key must be true or false"),
        ("owner: us", "owner: no", "orders.owner must be text"),
        ("personal: true", "personal: 1", "orders.status.personal must be true or false"),
        ("share: 0.2", "share: 20", "orders.breaker.share must be a share"),
        ("money: {column: amount, amount: amount * 2}", "money: total", "orders.money must be a mapping"),
        ("allowed: [created, paid]", "allowed: [DE, NO]", "orders.status.allowed must be text"),
        ("allowed: [created, paid]", "allowed: [2026-01-01]", "orders.status.allowed must be text"),
        ("allowed: [created, paid]", "allowed: 7", "orders.status.allowed must be a list"),
        ("min: -5", "min: low", "orders.amount.min"),
        ("min: -5", "min: 2000", "orders.amount.min is 2000, over max"),
        ('"decimal(18,4)"', "decimal", "orders.amount.data_type is decimal"),
        ("name: status", "name: Order_ID", "orders.columns names Order_ID twice"),
        ("name: status", "name: no", "must be text"),
        ("name: orders", "name: Our Orders", "lower-case letters"),
    ],
)
def test_a_fault_names_file_and_field(write, old: str, new: str, named: str):
    with pytest.raises(Permanent) as caught:
        read_contracts(write(YAML.replace(old, new)))
    assert named in str(caught.value)
    assert "staging_orders.yml" in str(caught.value)


def test_two_contracts_for_one_dataset_are_refused(write):
    write(YAML)
    with pytest.raises(Permanent, match="second contract"):
        read_contracts(write(YAML, "orders_again"))


def test_no_contracts_at_all_is_an_error(tmp_path: Path):
    with pytest.raises(Permanent, match="no contracts"):
        read_contracts(tmp_path)


def test_every_cadence_that_is_read_has_a_schedule(write):
    for cadence in CADENCES:
        text = YAML.replace("cadence: 1 hour", f"cadence: {say_duration(cadence)}")
        assert read_contracts(write(text))["orders"].cadence == cadence


def test_country_codes_in_quotes_are_what_they_say(write):
    found = read_contracts(write(YAML.replace("allowed: [created, paid]", 'allowed: [DE, "NO", "on"]')))
    assert found["orders"].columns[1].allowed == ("DE", "NO", "on")


@pytest.mark.parametrize("text", ["1 day", "2 days", "1 hour", "36 hours", "90 minutes"])
def test_durations_are_written_as_they_are_read(text: str):
    assert say_duration(parse_duration(text)) == text


def test_a_file_is_parsed_again_only_if_its_text_differs(write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of the file is the same throughout."""

    def read(owner: str) -> Contract:
        project = write(YAML.replace("owner: us", f"owner: {owner}"))
        os.utime(project / "models" / "staging" / "staging_orders.yml", ns=(1, 1))
        return read_contracts(project)["orders"]

    first, other = read("us"), read("them")
    assert (first.owner, other.owner) == ("us", "them")
    monkeypatch.setattr(contract, "parse_yaml", lambda *_: pytest.fail("parsed again"))
    assert read("us") is first and read("them") is other
