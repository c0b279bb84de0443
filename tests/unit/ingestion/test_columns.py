"""What a contract says of a column: read whole, and each fault named by file and field."""

from pathlib import Path

import pytest

from ingestion.columns import Column, read_column
from ingestion.errors import Permanent


def read(data_type: str = "varchar", **meta: object) -> Column:
    return read_column({"name": "c", "data_type": data_type, "config": {"meta": meta}}, Path("c.yml"), "orders")


def test_how_a_source_writes_a_column_is_read() -> None:
    assert read("timestamp", time_format=["seconds", "%d.%m.%Y"], timezone="Europe/Berlin") == Column(
        "c", "timestamp", time_formats=("seconds", "%d.%m.%Y"), timezone="Europe/Berlin"
    )
    assert read("decimal(18,4)", decimal=",", thousands=".", missing="-") == Column(
        "c", "decimal(18,4)", decimal=",", thousands=".", missing=("-",)
    )
    assert read("boolean", values={True: "yes", False: ["no", "never"]}) == Column(
        "c", "boolean", values=(("true", ("yes",)), ("false", ("no", "never")))
    )
    assert read(allowed=["a"], unlisted="warn").warns_of_unlisted
    assert not read(allowed=["a"], unlisted="refuse").warns_of_unlisted
    assert read("bigint", row_id=True, required=True) == Column("c", "bigint", required=True, is_row_id=True)
    assert read("bigint", hash=True, **{"from": "uuid"}) == Column("c", "bigint", is_hash=True, source_names=("uuid",))
    assert read("bigint", constant=3).constant == "3"
    assert read(roles={"purchase": "Order Completed"}).roles == (("purchase", ("Order Completed",)),)
    assert read(**{"from": ["$.a.b[0].c-d", "e"]}).at_source == ("$.a.b[0].c-d", "e")


def test_what_the_source_does_not_have_is_not_asked_for() -> None:
    assert [read(**{name: True}).is_at_source for name in ("absent", "row_id", "required")] == [False, False, True]
    assert not read(constant="GBP").is_at_source


@pytest.mark.parametrize(
    ("data_type", "meta", "said"),
    [
        ("date", {"timezone": "UTC"}, "c.timezone is for a timestamp, and this is a date"),
        ("varchar", {"time_format": "%Y"}, "c.time_format is for a timestamp or date"),
        ("timestamp", {"time_format": "second"}, "did you mean seconds"),
        ("timestamp", {"time_format": "%Y-%j"}, "has %j, which is not read"),
        ("timestamp", {"time_format": "%d.%m. %"}, "has %, which is not read"),
        ("timestamp", {"time_format": "%d.%m."}, "which has no year"),
        ("timestamp", {"time_format": []}, "c.time_format is empty"),
        ("timestamp", {"timezone": "Berlin"}, "use a name such as Europe/Berlin"),
        ("decimal(18,4)", {"decimal": ";"}, "does not separate digits"),
        ("decimal(18,4)", {"thousands": "."}, "which separates the decimals"),
        ("varchar", {"decimal": ","}, "c.decimal is for a decimal or bigint or integer"),
        ("bigint", {"thousands": "."}, "which separates the decimals"),
        ("varchar", {"values": {"a": "x", "b": "x"}}, "says that 'x' is both a and b"),
        ("varchar", {"values": {"a": "/(/"}}, "has the pattern /(/, which is wrong"),
        ("varchar", {"values": {"a": True}}, "must be text"),
        ("varchar", {"values": {"\\1": "/C\\d+/"}}, "is made of group 1 of /C\\d+/, which has 0"),
        ("varchar", {"values": {"\\2-\\1": ["/(a)(b)/", "ab"]}}, "is made of group 2 of ab, which has 0"),
        ("varchar", {"unlisted": "warn"}, "needs a list of `allowed` values"),
        ("varchar", {"allowed": ["a"], "unlisted": "tell"}, "must be one of warn, refuse"),
        ("varchar", {"json_types": ["text"]}, "must be some of string, integer"),
        ("varchar", {"roles": {"purchased": "x"}}, "did you mean purchase"),
        ("integer", {"row_id": True}, "c.row_id is for a varchar or bigint"),
        ("varchar", {"hash": True}, "c.hash is for a bigint, and this is a varchar"),
        ("bigint", {"hash": True, "row_id": True}, "c.hash has no effect beside row_id"),
        ("varchar", {"row_id": True, "from": "x"}, "c.from has no effect beside row_id"),
        ("varchar", {"constant": "x", "missing": "-"}, "c.missing has no effect beside constant"),
        ("bigint", {"constant": "x"}, "c.constant is no bigint"),
        ("varchar", {"from": "$.a b"}, "write a path in a line as"),
        ("varchar", {"frm": "a"}, "did you mean from"),
        ("date", {"join": ["a", "b"]}, "c.join is for a timestamp or varchar or bigint"),
        ("bigint", {"join": ["a", "b"]}, "c.join of a bigint needs `hash: true`"),
        ("timestamp", {"join": ["a"]}, "c.join must list two columns or more"),
        ("timestamp", {"join": "a"}, "c.join must list two columns or more"),
        ("timestamp", {"join": ["a", "b"], "from": "a"}, "c.from has no effect beside join"),
        ("timestamp", {"join": ["a", "b"], "constant": "x"}, "c.join has no effect beside constant"),
        ("timestamp", {"join": ["a", "b"], "personal": True}, "c.personal is for a column of the source"),
    ],
)
def test_a_fault_names_the_field(data_type: str, meta: dict[str, object], said: str) -> None:
    with pytest.raises(Permanent) as refused:
        read(data_type, **meta)
    assert said in str(refused.value) and "orders.c" in str(refused.value) and "c.yml" in str(refused.value)


@pytest.mark.parametrize(
    ("meta", "data_type", "said"),
    [
        ({"symbol": "%"}, "decimal(18,4)", "x.symbol is '%'"),
        ({"symbol": ["$", "1 "]}, "decimal(18,4)", "x.symbol is '1 '"),
        ({"symbol": "$"}, "varchar", "x.symbol is for a decimal"),
        ({"percent": True}, "bigint", "x.percent is for a decimal"),
        ({"percent": True, "constant": 1}, "decimal(18,4)", "x.percent has no effect beside constant"),
        ({"time_format": "exel"}, "timestamp", "did you mean excel"),
    ],
)
def test_a_wrong_way_of_writing_numbers_or_times_names_its_field(meta: dict[str, object], data_type: str, said: str):
    with pytest.raises(Permanent) as refused:
        read_column({"name": "x", "data_type": data_type, "config": {"meta": meta}}, Path("staging_x.yml"), "x")
    assert said in str(refused.value)
