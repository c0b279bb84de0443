from datetime import timedelta
from pathlib import Path

import pytest

from ingestion.contract import Column, Contract, parse_duration, read_contracts, say_duration
from ingestion.errors import Permanent

YAML = """
sources:
  - name: bronze
    tables:
      - name: orders
        config: {meta: {contract_version: 3, source: orders, format: rows, key: [order_id], version_column: updated_at,
                 event_time: ordered_at, cadence: 1 hour, lateness: 2 days,
                 expect_records_every: 30 minutes, owner: us, longest_record: 5000}}
        columns:
          - {name: order_id, data_type: varchar, description: "The\\n order.", config: {meta: {required: true}}}
          - {name: status, data_type: varchar, config: {meta: {allowed: [created, paid], personal: true}}}
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
            format="rows",
            key=("order_id",),
            version_column="updated_at",
            event_time="ordered_at",
            cadence=timedelta(hours=1),
            lateness=timedelta(days=2),
            expect_records_every=timedelta(minutes=30),
            owner="us",
            longest_record=5000,
            columns=(
                Column("order_id", "varchar", required=True, description="The order."),
                Column("status", "varchar", allowed=("created", "paid"), personal=True),
            ),
        )
    }


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("cadence: 1 hour", "cadence: soon", "orders.cadence"),
        ("cadence: 1 hour", "cadence: 0 hours", "orders.cadence"),
        ("key: [order_id]", "key: order_id", "orders.key"),
        ("format: rows", "format: csv", "orders.format"),
        ("contract_version: 3", "contract_version: new", "orders.contract_version"),
        ("owner: us", "owner: ", "orders.owner"),
        ("longest_record: 5000", "longest_record: 1 MB", "orders.longest_record"),
        ("data_type: varchar, description", "type: varchar, description", "orders.order_id"),
        ("sources:", "sources: {", "not YAML"),
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


@pytest.mark.parametrize("text", ["1 day", "2 days", "1 hour", "36 hours", "90 minutes"])
def test_durations_are_written_as_they_are_read(text: str):
    assert say_duration(parse_duration(text)) == text
