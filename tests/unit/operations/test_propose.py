"""A proposal decides on the key, the times, money and personal data, and says what it cannot decide."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from ingestion.errors import Permanent
from operations.guesses import FRACTION, STRING
from operations.propose import Asked, Proposal, propose, settings
from operations.samples import Row, Sample

NOW = datetime(2026, 11, 3, tzinfo=UTC)


def sample(columns: Sequence[str], rows: Sequence[Sequence[str | None]], **more: Any) -> Sample:
    texts: tuple[Row, ...] = tuple(tuple(row) for row in rows)
    return Sample(
        **{"place": "x.csv", "format": "csv", "columns": tuple(columns), "rows": texts, "files": ("x.csv",), **more}
    )


def proposed(
    columns: Sequence[str], rows: Sequence[Sequence[str | None]], name: str = "orders", **asked: Any
) -> Proposal:
    more = {"format": asked.pop("format", "csv"), "kinds": asked.pop("kinds", {}), "key": asked.pop("table_key", ())}
    return propose(Asked(name, "x.csv", **asked), sample(columns, rows, **more), NOW)


def times(count: int, start: int = 1) -> list[str]:
    return [f"2026-10-{1 + number % 28:02}T10:00:00Z" for number in range(start, start + count)]


def test_a_key_is_unique_and_its_name_says_so() -> None:
    rows = [[f"c{number}", f"o{number}", str(number)] for number in range(5)]
    assert proposed(["customer_id", "order_id", "quantity"], rows).key == ("order_id",)
    assert proposed(["customer_id", "status", "quantity"], rows).key == ("customer_id",)
    # a name that says nothing needs more rows
    with pytest.raises(Permanent, match="identifies a record"):
        proposed(["status", "shop", "quantity"], rows)
    many = [[f"s{number}", "a", "1"] for number in range(200)]
    assert proposed(["status", "shop", "quantity"], many).key == ("status",)


def test_lines_of_an_order_that_changed_are_versions_of_their_keys() -> None:
    columns = ["name", "idx", "modified", "qty"]
    rows = [[f"INV-{number}", str(line), "2026-11-01 10:00:00", "1"] for number in range(9) for line in (1, 2)]
    changed = [["INV-3", str(line), "2026-11-02 10:00:00", "2"] for line in (1, 2)]
    found = proposed(columns, [*rows, *changed])
    assert found.key == ("name", "idx") and any("2 records of the sample are versions" in one for one in found.decided)
    # without a version between them, two contents are two records
    with pytest.raises(Permanent, match="2 collide"):
        proposed(columns, [*rows, *([*row[:2], "2026-11-01 10:00:00", "2"] for row in changed)])


def test_of_an_empty_table_nothing_is_guessed() -> None:
    with pytest.raises(Permanent, match="the source has no rows"):
        proposed(["order_id", "quantity"], [], format="table")


def test_parts_of_json_are_read_by_the_query_of_a_table() -> None:
    rows = [[f"o{number}", '{"en": "Lamp"}', "{DE,AT}"] for number in range(3)]
    lines = {
        name: proposed(["order_id", "name", "countries"], rows, format=name).to_decide for name in ("table", "csv")
    }
    assert sum("`query` in place of `table`" in line for line in lines["table"]) == 2
    assert not any("`query`" in line for line in lines["csv"])


def test_equal_rows_are_duplicates_and_versions_share_their_key() -> None:
    rows = [
        ["o1", "1", "2026-11-01T10:00:00Z"],
        ["o1", "1", "2026-11-01T10:00:00Z"],
        ["o2", "2", "2026-11-01T10:00:00Z"],
    ]
    assert proposed(["order_id", "quantity", "updated_at"], rows).key == ("order_id",)
    later = [*rows, ["o1", "3", "2026-11-01T11:00:00Z"]]
    found = proposed(["order_id", "quantity", "updated_at"], later)
    assert found.key == ("order_id",) and found.version == "updated_at"
    assert any("1 records of the sample are versions" in line for line in found.decided)
    two = [*rows, ["o1", "3", "2026-11-01T10:00:00Z"]]
    with pytest.raises(Permanent) as caught:
        proposed(["order_id", "quantity", "updated_at"], two)
    assert "of 3 rows, by order_id, 1 collide" in caught.value.what and "--key order_id" in caught.value.todo


def test_a_pair_may_be_the_key() -> None:
    rows = [[f"o{number // 3}", str(number % 3), "x"] for number in range(9)]
    found = proposed(["order_id", "line", "note"], rows, "order_items")
    assert found.key == ("order_id", "line") and any("by chance" in line for line in found.to_decide)
    with pytest.raises(Permanent, match="identifies a record"):
        proposed(["sku", "date", "note"], [["a", time, "x"] for time in times(5)], "sales")


def test_what_counts_the_rows_of_a_document_is_a_key_with_it_whatever_they_are_called() -> None:
    rows = [[f"F{number // 3}", str(number % 3 + 1), f"{number % 7},50"] for number in range(60)]
    assert proposed(["Facture", "Ligne", "Montant"], rows).key == ("facture", "ligne")
    tens = [[f"{9000 + number // 3:010}", f"{number % 3 * 10 + 10:06}", "x"] for number in range(60)]
    assert proposed(["VBELN", "ETENR", "X"], tens).key == ("vbeln", "etenr")
    # numbers that differ within a document by chance count nothing
    by_chance = [[f"F{number // 3}", str(number * 7 % 60), "x"] for number in range(60)]
    with pytest.raises(Permanent, match="identifies a record"):
        proposed(["Facture", "Stock", "X"], by_chance)


def test_a_number_sign_is_a_number_and_what_never_changes_is_no_version() -> None:
    rows = [[f"#{1001 + number // 3}", str(number % 3), "2", "x"] for number in range(120)]
    found = proposed(["Order #", "Line", "version", "note"], rows)
    assert (found.key, found.version) == (("order_no", "line"), "file_time")
    assert any("order_no and line" in one for one in found.decided)


def test_what_the_user_says_counts_under_either_name() -> None:
    rows = [["1", "a", time] for time in times(3)]
    found = proposed(["Kunden Nr", "Art", "Zeit"], rows, key=("Kunden Nr", "art"), event_time="Zeit")
    assert found.key == ("kunden_nr", "art") and found.event_time == "zeit"
    assert any("2 records share their key" in line for line in found.decided)
    for option in ({"key": ("kundennr",)}, {"event_time": "zeitt"}, {"version": "x"}):
        with pytest.raises(Permanent, match="no column of the source"):
            proposed(["Kunden Nr", "Art", "Zeit"], rows, **{"key": ("art",), **option})
    with pytest.raises(Permanent, match="no time that Clearwell reads"):
        proposed(["Kunden Nr", "Art", "Zeit"], rows, key=("art",), event_time="art")


def test_a_few_wrong_times_do_not_undate_a_dataset() -> None:
    rows = [[f"o{number}", time] for number, time in enumerate(times(200))]
    rows[7][1], rows[8][1] = "yesterday", "2030-01-01T00:00:00Z"
    found = proposed(["order_id", "created_at"], rows)
    assert found.event_time == "created_at"
    reasons = {str(one["reason"]): one["rows"] for one in found.refused}
    assert reasons == {"not_parsed:created_at": 1, "in_future:created_at": 1}
    rows[9][1] = rows[10][1] = "never"
    found = proposed(["order_id", "created_at"], rows)
    assert found.event_time is None and any("no dates" in line for line in found.to_decide)


def test_the_event_time_is_when_it_happened() -> None:
    columns = ["order_id", "updated_at", "shipped_at", "birth_date", "order_date"]
    rows = [[f"o{number}", time, time, "1990-01-01", time] for number, time in enumerate(times(4))]
    found = proposed(columns, rows)
    assert (found.event_time, found.version) == ("order_date", "updated_at")
    by_name = {one.name: one for one in found.columns}
    assert [name for name, one in by_name.items() if one.required] == ["order_id", "order_date"]
    assert by_name["birth_date"].personal == "its name"
    assert proposed(columns[:4], [row[:4] for row in rows]).event_time is None


def test_an_event_time_that_is_often_missing_is_not_required() -> None:
    rows: list[list[str | None]] = [[f"o{number}", time] for number, time in enumerate(times(10))]
    rows[0][1] = None
    found = proposed(["order_id", "created_at"], rows)
    assert found.event_time == "created_at" and [one.required for one in found.columns[:2]] == [True, False]
    assert found.refused == ()


def test_without_a_version_a_file_has_its_own_time() -> None:
    rows = [["a", "1"], ["b", "2"]]
    found = proposed(["product_id", "file_time"], rows, "products")
    assert found.version == "file_time_2" and found.columns[-1].header is None
    table = proposed(["product_id", "stock"], rows, "products", format="table")
    assert table.version is None and any("--version" in line for line in table.to_decide)


def test_money_is_said_only_if_it_is_sure() -> None:
    rows = [[f"o{number}", "1.50", "EUR"] for number in range(3)]
    assert proposed(["order_id", "total_amount", "currency"], rows).money == ("total_amount", "currency")
    for columns in (["order_id", "total_amount", "land"], ["order_id", "unit_price", "currency"]):
        found = proposed(columns, rows)
        assert found.money is None and any(columns[1] in line for line in found.to_decide)
    two = [[*row, "2.5"] for row in rows]
    assert proposed(["order_id", "total", "currency", "net_amount"], two).money is None


def test_columns_that_a_contract_cannot_have_are_left_out_and_named() -> None:
    rows = [["1", "a", "b", "c"], ["2", "a", "b", "c"]]
    found = proposed(["id", 'a"b', "x", "X"], rows)
    assert [one.name for one in found.columns] == ["id", "file_time"]
    assert sum("left out" in line for line in found.to_decide) == 3
    kinds = {"id": frozenset({STRING}), "a": frozenset({STRING, FRACTION})}
    lines = proposed(["id", "a"], [["x", "1.5"], ["y", "b"]], format="json_lines", kinds=kinds)
    assert [one.name for one in lines.columns] == ["id"]
    with pytest.raises(Permanent, match="no column"):
        proposed(["{{x}}"], [["1"]])


def test_a_table_brings_its_key_and_its_settings() -> None:
    asked = Asked("invoices", "erp.public.invoices")
    rows = [("1", "2026-11-01 10:00:00"), ("1", "2026-11-01 11:00:00")]
    columns = ("No", "created")
    found = propose(asked, sample(columns, rows, place=asked.place, format="table", key=("No",)), NOW)
    assert found.key == ("no",)
    assert settings(found) == {"kind": "table", "connection": "erp", "table": "public.invoices", "placed": "created"}


def test_the_key_of_a_table_is_read_as_it_is_or_by_a_query() -> None:
    columns, rows = (
        ["No", "Line", "Lot"],
        [["A1   ", "1.00", "x  "], ["A1   ", "2.00", "y  "], ["B20  ", "1.00", "z  "]],
    )
    asked = Asked("lines", "erp.sales.Lines", event_time="")
    of_table = {"place": asked.place, "format": "table"}
    found = propose(asked, sample(columns, rows, key=("No", "Line"), **of_table), NOW)
    assert [(one.type, one.options) for one in found.columns] == [
        ("varchar", {}),
        ("varchar", {}),
        ("varchar", {"values": {r"\1": "/(.*?) */"}}),
    ]
    query = 'select rtrim("No") as "No", "Line", "Lot" from "sales"."Lines"'
    assert settings(found) == {"kind": "table", "connection": "erp", "query": query}
    # no part of a key, a number with zeros behind is one
    other = propose(asked, sample(columns, rows, key=("Lot",), **of_table), NOW)
    assert other.columns[1].type == "bigint" and "query" in settings(other)


def test_a_date_and_the_time_behind_it_are_one_time() -> None:
    rows = [["1", "20240131", "235959"], ["2", "20240201", "000000"], ["3", "20240201", None]]
    found = proposed(["VBELN", "ERDAT", "ERZET"], rows, key=("VBELN",))
    assert [(one.name, one.type) for one in found.columns] == [
        ("vbeln", "bigint"),
        ("erdat", "timestamp"),
        ("file_time", "timestamp"),
    ]
    options = {"join": ["ERDAT", "ERZET"], "time_format": ["%Y%m%d %H%M%S", "%Y%m%d"]}
    assert found.event_time == "erdat" and found.columns[1].options == options
    times = ["2024-01-31 23:59:59", "2024-02-01 00:00:00", "2024-02-01 00:00:00"]
    assert [row["erdat"] for row in found.rows(3)] == times and found.refused == ()
    other = proposed(["id", "order_date", "order_time"], [["1", "31.01.2024", "9:05"], ["2", "01.02.2024", "23:59"]])
    assert other.columns[1].options == {"join": ["order_date", "order_time"], "time_format": "%d.%m.%Y %H:%M"}
    # of a table, and of what is no time of day, nothing is joined
    table = sample(
        ["id", "day", "day_time"], [["1", "2024-01-31", "10:00"]], format="table", place="erp.a.b", key=("id",)
    )
    assert [one.type for one in propose(Asked("orders", "erp.a.b"), table, NOW).columns] == [
        "varchar",
        "date",
        "varchar",
    ]
    odd = proposed(["id", "order_date", "order_time"], [["1", "2024-01-31", "250000"], ["2", "2024-02-01", "12"]])
    assert [one.name for one in odd.columns][:3] == ["id", "order_date", "order_time"]


def test_a_dialect_is_a_setting_and_a_missing_header_is_to_be_decided() -> None:
    csv = {"delimiter": ";", "header": ["id"]}
    found = propose(Asked("orders", "x.csv"), sample(["id"], [["1"], ["2"]], csv=csv), NOW)
    assert settings(found) == {"location": "x.csv", "csv": csv}
    assert any("has no header" in line for line in found.to_decide)


def test_the_first_rows_have_the_names_of_the_contract() -> None:
    found = proposed(["Order ID", "group"], [["a", "b"], ["c", None]])
    assert found.rows(1) == [{"order_id": "a", "group_value": "b"}]
    told = proposed(
        ["id", "price", "paid", "day"], [["1", "$1,234.50", "yes", "31.12.2025"], ["2", "($5)", "no", "N/A"]]
    )
    assert told.rows(2) == [
        {"id": "1", "price": "1234.5000", "paid": "true", "day": "2025-12-31"},
        {"id": "2", "price": "-5.0000", "paid": "false", "day": None},
    ]
    assert (found.source, found.owner) == ("orders", "unknown")
    assert any("--owner" in line for line in found.to_decide)


def test_rows_without_a_key_are_records_of_their_own() -> None:
    rows = [["Cup", "2,50"], ["Cup", "2,50"]]
    found = proposed(["name", "price"], rows, key=("row",))
    assert (found.key, found.version) == (("row_id",), None)
    assert [(one.name, one.header, one.options) for one in found.columns] == [
        ("row_id", None, {"row_id": True}),
        ("name", "name", {}),
        ("price", "price", {"decimal": ","}),
    ]
    lines = proposed(["name"], [["Cup"]], format="json_lines", kinds={"name": frozenset({STRING})}, key=("row",))
    assert lines.key == ("row_id",)


def test_marks_for_no_value_are_missing_and_to_be_decided() -> None:
    rows = [[f"o{number}", "N/A" if number % 2 else "1.5"] for number in range(4)]
    found = proposed(["order_id", "weight"], rows)
    assert found.columns[1].missing == 2 and found.columns[1].distinct == 1
    assert any("whether N/A means no value" in line for line in found.to_decide)


def test_german_times_date_a_dataset() -> None:
    rows = [[f"o{number}", f"{number % 28 + 1:02}.10.2026 10:00"] for number in range(200)]
    rows[3][1], rows[4][1] = "gestern", "01.01.2030 10:00"
    found = proposed(["Bestell-Nr", "Bestelldatum"], rows, "bestellungen")
    assert found.event_time == "bestelldatum" and found.columns[1].options == {"time_format": "%d.%m.%Y %H:%M"}
    reasons = {str(one["reason"]): one["rows"] for one in found.refused}
    assert reasons == {"not_parsed:bestelldatum": 1, "in_future:bestelldatum": 1}


def test_the_only_times_date_a_dataset_whatever_they_are_called() -> None:
    rows = [[f"o{number}", time] for number, time in enumerate(times(4))]
    found = proposed(["order_id", "moment"], rows)
    assert found.event_time == "moment" and any("whether moment says when" in line for line in found.to_decide)
    assert proposed(["order_id", "shipped"], rows).event_time is None
    two = proposed(["order_id", "x", "y"], [[*row, row[1]] for row in rows])
    assert two.event_time is None and any("of which x, y may be one" in line for line in two.to_decide)


def test_files_of_a_day_show_whether_the_day_or_the_month_comes_first() -> None:
    rows = [[f"o{number}", f"01/12/2010 08:{number:02}"] for number in range(5)]
    found = propose(Asked("orders", "x"), sample(["order_id", "date"], rows, days=("2010-12-01", "2010-12-01")), NOW)
    assert found.event_time == "date" and found.columns[1].options == {"time_format": "%d/%m/%Y %H:%M"}
    assert proposed(["order_id", "date"], rows).event_time is None


def test_other_columns_show_that_a_comma_separates_decimals() -> None:
    rows = [[f"o{number}", "1,000", "2,50-"] for number in range(3)]
    found = proposed(["order_id", "menge", "betrag"], rows)
    assert (found.columns[1].type, found.columns[1].options) == ("decimal(18,4)", {"decimal": ","})
    assert (found.columns[2].type, found.columns[2].options) == ("decimal(18,4)", {"decimal": ","})
    alone = proposed(["order_id", "menge", "betrag"], [[*row[:2], "x"] for row in rows])
    assert alone.columns[1].type == "varchar" and any("menge" in line for line in alone.to_decide)


def test_numbers_and_positions_are_a_key_before_texts_are() -> None:
    rows = [[f"{4500000 + number // 2:010}", str(10 * (1 + number % 2)), f"Ware {number}"] for number in range(200)]
    assert proposed(["Beleg", "Pos", "Text"], rows, "belege").key == ("beleg", "pos")
    # times and texts of words may differ by chance
    for other in (times(28), [f"01/0{1 + number % 9}/2026 0{number // 9}:00" for number in range(28)]):
        with pytest.raises(Permanent, match="identifies a record"):
            proposed(["shop", "sold"], [["a b", text] for text in other] * 4, "sales")


def test_a_key_that_many_rows_do_not_have_is_said() -> None:
    rows: list[list[str | None]] = [[f"#{number // 2}", None if number % 2 else f"{number}"] for number in range(200)]
    with pytest.raises(Permanent) as caught:
        proposed(["Name", "Id"], rows)
    assert "by id, 100 have none" in caught.value.what
    assert "`--key id`, which refuses the rows that have none" in caught.value.todo
    found = proposed(["Name", "Id"], rows, key=("Id",))
    assert any("100 of 200 rows have no id" in line and "breaker" in line for line in found.to_decide)
    assert {name: found.refused[0][name] for name in ("reason", "rows")} == {"reason": "missing:id", "rows": 100}


def test_values_deep_in_lines_are_columns_named_by_their_words() -> None:
    path = "$.context.page.url"
    labels = {path: "context page url", "$.user.email": "user email", "$.made_at": "made at"}
    found = propose(
        Asked("events", "x.jsonl"),
        sample(
            ["id", "made_at", *labels],
            [
                ["e1", "2026-11-01T10:00:00Z", "https://x/", "a@example.org", "x"],
                ["e2", "2026-11-01T10:00:01Z", None, None, "x"],
            ],
            format="json_lines",
            kinds={name: frozenset({STRING}) for name in ["id", "made_at", *labels]},
            labels=labels,
            left_out=("$.a.b", "$.a.c"),
        ),
        NOW,
    )
    assert [(one.name, one.header) for one in found.columns] == [
        ("id", "id"),
        ("made_at", "made_at"),
        ("context_page_url", path),
        ("user_email", "$.user.email"),
        ("made_at_2", "$.made_at"),
    ]
    assert found.columns[3].personal == "its name" and found.event_time == "made_at" and found.version is None
    assert any("2 more values deep in the lines are left out, such as $.a.b, $.a.c" in line for line in found.to_decide)
    # a name at the top of a line that looks like a path is none
    literal = proposed(["id", "$.x"], [["1", "a"], ["2", "b"]], format="json_lines", kinds={"id": frozenset({STRING})})
    assert [one.name for one in literal.columns] == ["id"]


def test_what_a_sample_cannot_know_is_to_be_decided() -> None:
    rows = [["K7   ", "x"], ["K10  ", "y"]]
    found = propose(Asked("customers", "x.csv"), sample(["customer_id", "n"], rows, csv={"encoding": "cp1252"}), NOW)
    assert found.columns[0].is_padded and not found.columns[1].is_padded
    assert any(line.startswith("customer_id: the blanks at the end") for line in found.decided)
    assert found.columns[0].options == {"values": {r"\1": "/(.*?) */"}} and not found.columns[1].options
    assert [row["customer_id"] for row in found.rows(2)] == ["K7", "K10"]
    assert any("whether the file is in cp1252" in line for line in found.to_decide)


def test_parquet_files_have_their_own_time_too() -> None:
    rows = [["a", "1"], ["b", "2"]]
    assert proposed(["product_id", "stock"], rows, "products", format="parquet").version == "file_time"


def test_of_columns_without_names_ids_made_at_random_are_a_key() -> None:
    rows = [["web", str(number % 3), f"{number:08x}-{number % 2:04x}-4000-8000-{number:012x}"] for number in range(5)]
    found = proposed(["column_1", "column_2", "column_3"], rows, "events")
    assert found.key == ("column_3",) and any("column_3 identifies a record" in line for line in found.to_decide)


def test_rows_of_totals_do_not_hide_the_key() -> None:
    rows: list[list[str | None]] = [[f"{number // 2:05}", str(10 * (1 + number % 2)), "1"] for number in range(30)]
    rows += [[f"Summe {day}", None, "30"] for day in (1, 2)]
    with pytest.raises(Permanent) as caught:
        proposed(["Beleg-Nr.", "Pos.", "Menge"], rows, "kasse")
    assert "by beleg_nr and pos, 2 have none" in caught.value.what
    assert "`--key beleg_nr,pos`, which refuses the rows that have none" in caught.value.todo
    found = proposed(["Beleg-Nr.", "Pos.", "Menge"], rows, "kasse", key=("beleg_nr", "pos"))
    assert any(
        "such as totals, `where: [{from: Pos., is_not: ['']}]` leaves them out" in line for line in found.to_decide
    )
