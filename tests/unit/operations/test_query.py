"""What people type can only read: every attack ends in an error that says what is allowed, and no file is touched."""

import hashlib
import resource
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.main import main
from ingestion.errors import Permanent
from ingestion.home import Home
from operations import query
from operations.query import Limits
from warehouse import state

QUERIES = """
delete from gold.daily_revenue
update gold.daily_revenue set units = 0
insert into gold.daily_revenue select * from gold.daily_revenue
truncate gold.daily_revenue
drop table gold.daily_revenue
alter table gold.daily_revenue add column x integer
create table x as select 1
create temp table x as select 1
create or replace view gold.x as select 1
create macro x() as 1
create schema x
create type x as enum ('a')
create sequence x
create secret s (type s3)
attach 'other.duckdb' as other (read_write)
attach '{state}' as other (read_write)
attach ':memory:' as other
attach '{state}' as other (read_write); delete from other.gold.daily_revenue
detach warehouse
use memory
copy gold.daily_revenue to 'out.csv'
copy gold.daily_revenue from 'out.csv'
copy (select 1) to '{home}/out.parquet'
copy from database warehouse to memory
export database 'out'
import database 'out'
install httpfs
install httpfs from community
force install httpfs
load httpfs
load json
load '/etc/passwd'
update extensions
pragma version
pragma database_list
pragma enable_profiling
pragma profiling_output = 'out.json'
pragma disable_optimizer
pragma memory_limit = '100GB'
set memory_limit = '100GB'
set enable_external_access = true
set lock_configuration = false
set temp_directory = '{home}/tmp'
set variable x = 1
reset memory_limit
checkpoint
force checkpoint
vacuum
analyze
begin
commit
prepare x as select 1
execute x
deallocate x
explain analyze select 1
explain select 1
call pragma_version()
call enable_logging(storage := 'file', storage_path := 'out')
call checkpoint()
comment on table gold.daily_revenue is 'x'
select 1; select 2
select 1; delete from gold.daily_revenue
from gold.daily_revenue; attach 'other.duckdb'
pivot gold.daily_revenue on country using sum(units)
with gone as (delete from gold.daily_revenue returning *) from gone
from (delete from gold.daily_revenue returning *)
select * into x from gold.daily_revenue
from '/etc/passwd'
from 'out.csv'
from "/etc/passwd"
from "out.parquet"
from read_text('/etc/passwd')
from read_blob('/etc/passwd')
from main.read_text('/etc/passwd')
from system.main.read_text('/etc/passwd')
from READ_TEXT('/etc/passwd')
from read_csv('/etc/passwd')
from read_csv_auto('/etc/passwd')
from read_json('/etc/passwd')
from read_ndjson_objects('/etc/passwd')
from read_parquet('{home}/*.parquet')
from parquet_scan('{home}/*.parquet')
from parquet_metadata('{home}/x.parquet')
from read_duckdb('{state}')
from sniff_csv('/etc/passwd')
from glob('/etc/*')
from glob('**')
select content from read_text('/etc/passwd') as t
select (select content from read_text('/etc/passwd'))
select * from range(3) where exists (from read_text('/etc/passwd'))
with t as (from read_text('/etc/passwd')) from t
with recursive t as (from read_text('/etc/passwd') union all from t) from t
select 1 union all select content from read_text('/etc/passwd')
select list_transform([1], lambda x: (select content from read_text('/etc/passwd')))
select * from gold.daily_revenue join lateral (from read_text('/etc/passwd')) on true
select * from gold.daily_revenue positional join read_text('/etc/passwd')
select * from (pivot (from read_text('/etc/passwd')) on filename in ('x') using count(*))
describe from read_text('/etc/passwd')
summarize from read_text('/etc/passwd')
describe '/etc/passwd'
from query('select 1')
from query('attach ''other.duckdb''')
from query_table('gold.daily_revenue')
from json_execute_serialized_sql(json_serialize_sql('from read_text(''/etc/passwd'')'))
from enable_logging(storage := 'file', storage_path := 'out')
from enable_profiling(save_location := 'out.json')
from disable_logging()
from truncate_duckdb_logs()
from checkpoint()
from force_checkpoint()
from duckdb_secrets()
from which_secret('s3://x', 's3')
from duckdb_settings()
from arrow_scan(1, 2, 3)
from pandas_scan(1)
from seq_scan('gold.daily_revenue')
from python_map_function(1)
from home
from shown
select write_log('x', level := 'error')
select nextval('x')
from 'https://example.invalid/x.csv'
from 's3://bucket/x.parquet'
from postgres_scan('host=127.0.0.1', 'public', 'x')
from sqlite_scan('x.db', 'x')
select
-- nothing

;
"""
CONDITIONS = """
1=1) union all select * from gold.daily_revenue where (1=1
1=1) union select 1 --
true) or (true
true); delete from gold.daily_revenue; select (true
true; delete from gold.daily_revenue
true;
;
true --
true -- and false
true /* and false */
/**/ true
true -- 'quoted'
'a' = 'a' -- 'quoted'
units in (select 1)
units = (select max(units) from gold.daily_revenue)
exists (from read_text('/etc/passwd'))
exists (from '/etc/passwd')
units = any(select 1)
(select content from read_text('/etc/passwd')) = 'x'
list_transform([1], lambda x: (select 1)) = [1]
true order by units
true limit 1
true group by all
true having true
true qualify true
true window w as ()
true as x
units, units
a) from gold.daily_revenue where (true
*) from (select 1
*
columns(*)
columns('units') > 0
units = $1
units = ?
$x
count(*) over () > 0
row_number() over () = 1
write_log('x') is null
read_text('/etc/passwd') is null
nextval('x') = 1
case when true then (select true) end
true) from gold.daily_revenue tablesample (10 percent
(true
true)
'
"
$$
""
delete from gold.daily_revenue
select true
attach 'other.duckdb'
copy gold.daily_revenue to 'out.csv'
no_such_column = 1
sum(units) > 1
"""


def lines(text: str, home: Home) -> list[str]:
    return [one.format(state=home.state, home=home.root) if "{" in one else one for one in text.splitlines() if one]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    root = tmp_path_factory.mktemp("home")
    home = Home(root, root / "landing")
    with state.connect(home.state, read_only=False) as connection:
        connection.execute("""
            create schema gold;
            create table gold.daily_revenue as
            select
                date '2026-11-01' + day::integer as order_date, 'DE' as country, 'EUR' as currency, 0 as orders, 0 as units,
                0.0 as gross_amount, 0.0 as refunded_amount, 0.0 as net_amount
            from range(3) as days (day);
        """)
    return home


def files(home: Home) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in home.root.rglob("*") if path.is_file()}


@pytest.fixture
def guarded(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Return a home, and work in an empty folder; neither may change."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLEARWELL_HOME", str(home.root))
    return home


def test_every_attack_on_sql_says_what_is_allowed_and_touches_no_file(guarded: Home, tmp_path: Path) -> None:
    before = files(guarded)
    for attack in lines(QUERIES, guarded):
        shown = CliRunner().invoke(main, ["sql", "--", attack])
        assert shown.exit_code == 1 and shown.output.startswith("error: "), (attack, shown.output, shown.exception)
        assert "Next: " in shown.output and "root:" not in shown.output, (attack, shown.output)
    assert files(guarded) == before and not list(tmp_path.iterdir())


def test_every_attack_on_a_condition_says_what_is_allowed_and_touches_no_file(guarded: Home, tmp_path: Path) -> None:
    before = files(guarded)
    for attack in lines(CONDITIONS, guarded):
        shown = CliRunner().invoke(main, ["trace", "--gold", "daily_revenue", "--where", attack])
        assert shown.exit_code == 1 and shown.output.startswith("error: "), (attack, shown.output, shown.exception)
        assert query.ALLOWED_CONDITION in shown.output, (attack, shown.output)
    assert files(guarded) == before and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "asked",
    [
        "from gold.daily_revenue",
        "select count(*) from gold.daily_revenue -- all of it",
        "select country, sum(units) from gold.daily_revenue group by all order by all;",
        "with t as (select * from gold.daily_revenue) select * from t where units in (select 0)",
        "show all tables",
        "describe gold.daily_revenue",
        "summarize gold.daily_revenue",
        "values (1), (2)",
        "from range(3) union all from generate_series(2)",
        "from duckdb_tables()",
        "pivot gold.daily_revenue on country in ('DE') using sum(units)",
        "select unnest([1, 2]), '; delete', \"order_date\" from gold.daily_revenue",
        "with recursive r as (select 1 as a union all select a + 1 from r where a < 9) from r",
        "select map {[1]: date '2026-01-01'}, 'nan'::double, date 'infinity', '\\x00'::blob, {'a': [1]}",
    ],
)
def test_a_question_is_answered(guarded: Home, asked: str) -> None:
    for more in ([], ["--json"]):
        shown = CliRunner().invoke(main, ["sql", *more, "--", asked])
        assert shown.exit_code == 0, shown.output


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("true", 3),
        ("order_date = '2026-11-01'", 1),
        ("order_date >= date '2026-11-01' + interval 1 day and country like 'D%' or units is null", 2),
        ("country in ('DE', '--', '/*') and not (country = ';')", 3),
        ("(order_date, country) in (('2026-11-01', 'DE'))", 1),
        ("case when units = 1.5e1 then false else upper(currency)[1] = 'E' end", 3),
        ("list_contains(list_transform([1, 2], lambda x: x - 1), units)", 3),
        ("country = $$DE$$", 3),
        ("country <> 'it''s -- no comment'", 3),
    ],
)
def test_a_condition_means_what_it_says(guarded: Home, where: str, rows: int) -> None:
    with query.session(guarded) as connection:
        written = query.parse_condition(connection, "gold.daily_revenue", where)
        assert len(state.rows(connection, f"from gold.daily_revenue where {written}")) == rows


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text()
    | st.lists(
        st.sampled_from(
            [
                "1",
                "=",
                "(",
                ")",
                "'",
                '"',
                "--",
                "/*",
                "*/",
                ";",
                "select",
                "from",
                "where",
                "gold.daily_revenue",
                "$",
                "or",
                "union",
                "units",
            ]
        )
    ).map(" ".join)
)
def test_any_text_is_a_condition_or_is_refused(home: Home, text: str) -> None:
    """An accepted condition is put into the query as one expression in parentheses, as the parser read it."""
    with query.session(home) as connection:
        try:
            written = query.parse_condition(connection, "gold.daily_revenue", text)
        except Permanent as error:
            assert error.todo
        else:
            assert query.parse_condition(connection, "gold.daily_revenue", written)


def test_each_name_twice_is_shown_twice(guarded: Home) -> None:
    assert query.run(guarded, "select 1 as a, 2 as a, 3 as a_1")[0] == ["a", "a_1", "a_1_1"]


def test_time_is_bounded(guarded: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARWELL_QUERY_SECONDS", "0.3")
    for endless in (
        "select count(*) from range(100000000000)",
        "with recursive r as (select 1 as a union all select a + 1 from r) select count(*) from r",
    ):
        shown = CliRunner().invoke(main, ["sql", endless])
        assert shown.exit_code == 1 and "longer than 0.3 seconds" in shown.output
        assert "set CLEARWELL_QUERY_SECONDS to more" in shown.output


def test_memory_is_bounded_and_nothing_is_spilled(guarded: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARWELL_MEMORY", "50MB")
    before = files(guarded)
    shown = CliRunner().invoke(main, ["sql", "select list(range) from range(50000000)"])
    assert shown.exit_code == 1 and "more than 50MB of memory" in shown.output
    assert "set CLEARWELL_MEMORY to more" in shown.output and files(guarded) == before


@pytest.mark.parametrize(
    "value",
    [
        "repeat('x', 3000000000)",
        "length(repeat('x', 3000000000))",
        "len(range(1000000000))",
        "bit_count(repeat('1', 2000000000)::bit)",
        "format('{:>2000000000}', 'x')",
        "printf('%2000000000s', 'x')",
        "(select string_agg(repeat('x', 1000000)) from range(4000))",
        "list_reduce(list_transform(range(36), lambda n: 'xxxx'), lambda a, b: a || a)",
    ],
)
def test_one_value_is_bounded_like_a_table(guarded: Home, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CLEARWELL_MEMORY", "50MB")
    before = resource.getrlimit(resource.RLIMIT_AS)
    shown = CliRunner().invoke(main, ["sql", f"select {value}"])
    assert shown.exit_code == 1 and "more than 50MB of memory" in shown.output, shown.output
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert CliRunner().invoke(main, ["sql", "select 42"]).exit_code == 0


def test_the_bound_is_that_of_the_process_and_goes_with_the_last_question() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    tighter = 10**15
    try:
        resource.setrlimit(resource.RLIMIT_AS, (tighter, before[1]))
        with query._bounded(1000), query._bounded(1000):
            assert resource.getrlimit(resource.RLIMIT_AS)[0] < tighter
        assert resource.getrlimit(resource.RLIMIT_AS)[0] == tighter
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize(("text", "size"), [("50MB", 50_000_000), ("1.5 gib", 3 * 2**29), ("2GB", 2_000_000_000)])
def test_memory_is_read_as_duckdb_does(text: str, size: int) -> None:
    assert Limits(text).bytes == size


def test_rows_are_bounded(guarded: Home) -> None:
    with pytest.raises(Permanent, match="more than 10 rows"):
        query.run(guarded, "from range(11)", Limits(rows=10))


@pytest.mark.parametrize("name", ["CLEARWELL_QUERY_SECONDS", "CLEARWELL_MEMORY"])
@pytest.mark.parametrize("value", ["x", "-1", "0", "nan", "1e400", "1GB; delete"])
def test_a_limit_that_is_none_is_told(guarded: Home, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    shown = CliRunner().invoke(main, ["sql", "select 1"])
    assert shown.exit_code == 1 and f"error: {name} is {value!r}" in shown.output
