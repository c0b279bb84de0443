{# Files of bronze: manifests, and the Parquet of raw records. #}

{# All manifests of bronze, with the file of each. #}
{% macro manifests_of_bronze() %}{{ adapter.dispatch('manifests_of_bronze')() }}{% endmacro %}
{% macro duckdb__manifests_of_bronze() %}
    {%- set manifests = bronze_folder() ~ '/*/*/*/manifest.json' -%}
    {#- there may be no batches yet -#}
    {%- if execute and run_query("select count(*) from glob(" ~ literal(manifests) ~ ")").columns[0].values()[0] -%}
    select * from read_json({{ literal(manifests) }}, filename = 'manifest_file', format = 'unstructured', columns = {{ manifest_columns() }})
    {%- else -%}
    {{ empty(manifest_types()) }}
    {%- endif -%}
{% endmacro %}
{% macro spark__manifests_of_bronze() -%}
    select manifest.*, manifest_file
    from (select from_json(value, {{ json_schema(manifest_types()) }}) as manifest, {{ path_of_file() }} as manifest_file from text.`{{ bronze_folder() }}` with (recursiveFileLookup = 'true', pathGlobFilter = 'manifest.json', wholetext = 'true'))
{%- endmacro %}

{# The manifests of a plan, which is a file with one per line. #}
{% macro manifests_of_plan(file) %}{{ adapter.dispatch('manifests_of_plan')(file) }}{% endmacro %}
{% macro duckdb__manifests_of_plan(file) -%}
    select * from read_json({{ literal(file) }}, filename = 'manifest_file', format = 'newline_delimited', columns = {{ manifest_columns() }})
{%- endmacro %}
{% macro spark__manifests_of_plan(file) -%}
    select manifest.*, manifest_file
    from (select from_json(value, {{ json_schema(manifest_types()) }}) as manifest, {{ path_of_file() }} as manifest_file from text.`{{ file }}`)
{%- endmacro %}

{# The folder in which the records of each compacted batch lie. A batch that has its own file is read from there. #}
{% macro compacted_batches() %}{{ adapter.dispatch('compacted_batches')() }}{% endmacro %}
{% macro duckdb__compacted_batches() %}
    {%- set indexes = bronze_folder() ~ '/*/*/compacted-*/index.json' -%}
    {%- if execute and run_query("select count(*) from glob(" ~ literal(indexes) ~ ")").columns[0].values()[0] -%}
    select batch_id, min(regexp_replace(index_file, '[^/\\]+$', '')) as folder
    from (
        select index_file, unnest(map_keys(batches)) as batch_id
        from read_json({{ literal(indexes) }}, filename = 'index_file', format = 'unstructured', columns = {batches: 'map(varchar, json)'})
    )
    where batch_id not in (select regexp_extract(file, '([^/\\]+)[/\\][^/\\]+$', 1) from glob({{ literal(bronze_folder() ~ '/*/*/*/*.parquet') }}))
    group by batch_id
    {%- else -%}
    {{ no_compacted_batches() }}
    {%- endif -%}
{% endmacro %}
{% macro spark__compacted_batches() -%}
    select batch_id, min(regexp_replace(index_file, '[^/\\]+$', '')) as folder
    from (
        select {{ path_of_file() }} as index_file, explode(map_keys(from_json(value, 'batches map<string, string>').batches)) as batch_id
        from text.`{{ bronze_folder() }}` with (recursiveFileLookup = 'true', pathGlobFilter = 'index.json', wholetext = 'true')
    )
    where batch_id not in (
        select regexp_extract(path, '([^/\\]+)[/\\][^/\\]+$', 1)
        from binaryFile.`{{ bronze_folder() }}` with (recursiveFileLookup = 'true', pathGlobFilter = '*.parquet')
    )
    group by batch_id
{%- endmacro %}

{# A plan says itself where the records of compacted batches lie. #}
{% macro no_compacted_batches() %}select cast(null as string) as batch_id, cast(null as string) as folder where false{% endmacro %}

{% macro bronze_folder() %}{{ return(env_var('CLEARWELL_HOME', '../data') ~ '/bronze') }}{% endmacro %}

{# The values of a map as a list, which is empty if there is no map. #}
{% macro map_values_of(map) %}{{ return(adapter.dispatch('map_values_of')(map)) }}{% endmacro %}
{% macro duckdb__map_values_of(map) %}{{ return('coalesce(map_values(' ~ map ~ '), [])') }}{% endmacro %}
{% macro spark__map_values_of(map) %}{{ return('coalesce(map_values(' ~ map ~ '), array())') }}{% endmacro %}

{% macro empty_map() %}{{ return(adapter.dispatch('empty_map')()) }}{% endmacro %}
{% macro duckdb__empty_map() %}{{ return('map {}') }}{% endmacro %}
{% macro spark__empty_map() %}{{ return('map()') }}{% endmacro %}

{# Whether all items of a list are among the values of a column of a relation. #}
{% macro are_all_in(list, relation, column) %}{{ return(adapter.dispatch('are_all_in')(list, relation, column)) }}{% endmacro %}
{% macro duckdb__are_all_in(list, relation, column) %}{{ return('list_has_all((select list(' ~ column ~ ') from ' ~ relation ~ '), ' ~ list ~ ')') }}{% endmacro %}
{% macro spark__are_all_in(list, relation, column) %}{{ return('size(array_except(' ~ list ~ ', (select collect_list(' ~ column ~ ') from ' ~ relation ~ '))) = 0') }}{% endmacro %}

{# --- Spark ------------------------------------------------------------------------------------------------------------------ #}

{% macro json_schema(types) %}
    {% set fields = [] %}
    {% for name, type in types.items() %}{% do fields.append('`' ~ name ~ '` ' ~ spark_json_type(type)) %}{% endfor %}
    {{ return("'" ~ fields | join(', ') ~ "'") }}
{% endmacro %}
{% macro spark_json_type(type) %}
    {% if type.startswith('struct(') %}
        {% set list = type.endswith('[]') %}
        {% set parts = [] %}
        {% for field in type[7:(-3 if list else -1)].split(', ') %}{% do parts.append(field.split(' ')[0] ~ ': ' ~ sql_type(field.split(' ')[1])) %}{% endfor %}
        {{ return(('array<' if list else '') ~ 'struct<' ~ parts | join(', ') ~ '>' ~ ('>' if list else '')) }}
    {% endif %}
    {{ return(sql_type(type)) }}
{% endmacro %}

{# The path of the file of a row, as DuckDB writes it: also where Spark sees the home at another place (warehouse/exchange.py), whatever
   the file system calls that place. #}
{% macro path_of_file() %}
    {% set home, place = env_var('CLEARWELL_HOME', '../data'), place_of_home() %}
    {% set path = "url_decode(replace(regexp_replace(_metadata.file_path, '^file:/*', '/'), '+', '%2B'))" %}
    {{ return(path if place == home else "concat(" ~ literal(home) ~ ", regexp_extract(" ~ path ~ ", '/" ~ place.split('/')[-1] ~ "(/.*)$', 1))") }}
{% endmacro %}

{# Where Spark sees the home, and a file of the home. #}
{% macro place_of_home() %}{{ return(env_var('CLEARWELL_SPARK_HOME', env_var('CLEARWELL_HOME', '../data'))) }}{% endmacro %}
{% macro place_of_file(file) %}
    {% set home = env_var('CLEARWELL_HOME', '../data') ~ '/' %}
    {{ return(place_of_home() ~ '/' ~ file[home | length:] if file.startswith(home) else file) }}
{% endmacro %}

{# Parquet files as one place to read from: what all paths begin with, and the rest of each. #}
{% macro spark__parquet(files) -%}
    {%- set placed = [] -%}
    {%- for file in files -%}{%- do placed.append(place_of_file(file)) -%}{%- endfor -%}
    {%- set folders = placed[0].split('/') -%}
    {%- set shared = namespace(parts=[], goes_on=true) -%}
    {%- for part in folders[:-1] -%}
        {%- set beginning = (folders[:loop.index] | join('/')) ~ '/' -%}
        {%- for file in placed if not file.startswith(beginning) -%}{%- set shared.goes_on = false -%}{%- endfor -%}
        {%- if shared.goes_on -%}{%- do shared.parts.append(part) -%}{%- endif -%}
    {%- endfor -%}
    {%- set folder = (shared.parts | join('/')) ~ '/' -%}
    {%- set rest = [] -%}
    {%- for file in placed -%}{%- do rest.append(file[folder | length:]) -%}{%- endfor -%}
    parquet.`{{ folder }}{{ rest[0] if rest | length == 1 else '{' ~ rest | join(',') ~ '}' }}` with (mergeSchema = 'true')
{%- endmacro %}

{% macro columns_of_parquet(files) %}
    {{ return(run_query('describe query select * from ' ~ spark__parquet(files)).columns[0].values() | list) }}
{% endmacro %}

{% macro spark__read_lines(dataset) %}
    {% set files = entering_files(dataset) %}
    {% set types = {'record_no': 'bigint', 'bronze_batch': 'string', 'raw': 'string', 'raw_bytes': 'binary', 'file': 'string', 'line_number': 'bigint'} %}
    {% if not files %}
    select {% for name, type in types.items() %}cast(null as {{ type }}) as {{ name }}, {% endfor %}cast(null as string) as bronze_file, cast(null as boolean) as is_cut, cast(null as string) as raw_start
    where false
    {% else %}
    {% set had = columns_of_parquet(files) %}
    select
        record_no, bronze_batch, case when not is_long then raw end as raw, case when not is_long then raw_bytes end as raw_bytes, file, line_number,
        bronze_file, is_cut, case when is_long then coalesce(left(raw, 1000), hex(substring(raw_bytes, 1, 500))) end as raw_start
    from (
        select
            *, coalesce(octet_length(raw), octet_length(raw_bytes)) - case when is_cut then 0 else 1 end > {{ longest_record(dataset) }} as is_long
        from (
            select *, not coalesce(endswith(raw, chr(10)), substring(raw_bytes, -1, 1) = X'0A') as is_cut
            from (
                select
                    {% for name, type in types.items() %}{{ name if name in had else 'cast(null as ' ~ type ~ ')' }} as {{ name }}, {% endfor %}
                    {{ path_of_file() }} as bronze_file
                from {{ spark__parquet(files) }}
            )
        )
    )
    {% endif %}
{% endmacro %}

{% macro bad_row_type() %}{{ return('struct<reason: string, raw: string, raw_bytes: binary, file: string, line_number: bigint>') }}{% endmacro %}

{% macro spark__read_rows(dataset) %}
    {% set names = column_names(dataset) %}
    {% set layouts = layouts_of(dataset) %}
    {% set width = ([1] + layouts | map(attribute='columns') | map('length') | list) | max %}
    select
        cast(null as bigint) as record_no, cast(null as string) as bronze_file, cast(null as string) as bronze_batch, false as is_deleted, cast(array() as array<string>) as not_utf8, 0 as layout,
        cast(null as {{ bad_row_type() }}) as bad_row,
        named_struct({% for n in range(1, width + 1) %}'c{{ n }}', cast(null as string){{ ', ' if not loop.last }}{% endfor %}) as cells
        {%- for name in names %}, cast(null as string) as text_{{ name }}{% endfor %}
        {%- for condition in conditions(dataset) %}, cast(null as string) as selecting_{{ loop.index }}{% endfor %}
    where false
    {% for layout in layouts %}
    {% set number = loop.index %}
    {% set meant = columns_meant(dataset, layout.columns) %}
    {% set had = columns_of_parquet(layout.files) %}
    union all
    select
        record_no, bronze_file, bronze_batch, coalesce(is_deleted, false),
        case when not_utf8 is not null then nullif(filter(cast(array(
            {%- for name, found in meant.items() %}case when {% for column in found %}map_contains_key(not_utf8, {{ literal(column) }}){{ ' or ' if not loop.last }}{% endfor %} then '{{ name }}' end{{ ', ' if not loop.last }}{% endfor -%}
        ) as array<string>), name -> name is not null), array()) end,
        {{ number }},
        bad_row,
        named_struct({% for n in range(width) %}'c{{ n + 1 }}', {{ physical(layout, layout.columns[n]) if n < layout.columns | length else 'cast(null as string)' }}{{ ', ' if not loop.last }}{% endfor %})
        {%- for column in contract(dataset).columns %}, {{ text_of(column, physical_of(layout, meant[column.name])) if column.name in meant else 'cast(null as string)' }}{% endfor %}
        {%- for condition in conditions(dataset) %}
        {%- set selecting = columns_named(as_list(condition['from']), layout.columns) %}, {{ text_of({'config': {}}, physical_of(layout, selecting)) if selecting else 'cast(null as string)' }}{% endfor %}
    from (
        select *, {{ path_of_file() }} as bronze_file
            {%- for name, type in {'bronze_batch': 'string', 'is_deleted': 'boolean', 'not_utf8': 'map<string, binary>', 'bad_row': bad_row_type()}.items() if name not in had %}, cast(null as {{ type }}) as {{ name }}{% endfor %}
        from {{ spark__parquet(layout.files) }}
    )
    {% endfor %}
{% endmacro %}

{% macro spark__layouts_of(dataset) %}
    {% set batches = ref('plan_batches') %}
    {% set where = entering_batches(dataset) %}
    {% if not execute %}{{ return([]) }}{% endif %}
    {% set found = run_query(
        "select to_json(named_struct('columns', columns, 'renamed', from_json(renamed, 'map<string, string>'), 'files', array_sort(collect_set(file)))) as layout from ("
        ~ "select columns, to_json(renamed) as renamed, explode(files) as file from " ~ batches ~ " where " ~ where ~ ") group by columns, renamed order by 1"
    ) %}
    {% set layouts = [] %}
    {% for text in found.columns[0].values() %}{% do layouts.append(fromjson(text)) %}{% endfor %}
    {{ return(layouts) }}
{% endmacro %}
