{# Spark's parse of the entering records: the same texts, types and reasons as macros/parse.sql, by Spark's own JSON functions.
   docs/engines.md says where it differs. #}

{% macro spark__parse_records(dataset) %}
{% set _ = source('bronze', dataset) %}
{% set the = contract(dataset) %}
{% set lines = the.meta.format == 'json_lines' %}
{% set names = the.columns | map(attribute='name') | list %}
{% set dated_by = the.meta.get('event_time') or the.meta.get('record_date') %}
{% set layouts = [] if lines else layouts_of(dataset) %}
{% do assert_spark_reads(the) %}
with batches as (
    select batch_id, source, window_date, landed_at from {{ ref('plan_batches') }}
    where dataset = '{{ dataset }}' and is_entering
),

bronze as (
    {{ read_bronze(dataset) }}
),

identified as (
    select bronze.*, struct(bronze.*) as bronze_row, batches.batch_id, batches.source, batches.window_date, batches.landed_at
    from bronze
    inner join batches on batches.batch_id = {{ batch_of_record() }}
),

{% if lines %}
{#- in a list, what follows the first value is seen: alone, the parser would stop behind it -#}
parsed as (
    select *, try_parse_json('[' || raw || ']') as line
    -- a byte order mark at the start of a file is no part of its first line
    from (select {{ star_replacing({'raw': "case when startswith(raw, decode(X'EFBBBF', 'UTF-8')) then substring(raw, 2) else raw end"}) }} from identified)
),

read as (
    select
        *,
        case
            when startswith(raw, '{{ forgotten_mark() }}') then 'forgotten'
            when raw_start is not null then 'too_long'
            -- a line without a newline may have been landed while it was still being written
            when raw is null
                then case
                    when is_cut and source <> 'corrections'
                        and ({% for left in range(1, 4) %}is_valid_utf8(substring(raw_bytes, 1, octet_length(raw_bytes) - {{ left }})){{ ' or ' if not loop.last }}{% endfor %})
                        then 'half_line' else 'invalid_utf8'
                end
            -- DuckDB reads these as numbers
            when regexp_like(raw, '(?i)^\s*[+-]?(nan|inf|infinity)\s*$') then 'not_an_object'
            when line is null or variant_get(line, '$[0]', 'variant') is null or variant_get(line, '$[1]', 'variant') is not null
                then case when is_cut and source <> 'corrections' then 'half_line' else 'broken_json' end
            when schema_of_variant(variant_get(line, '$[0]', 'variant')) not like 'OBJECT<%' then 'not_an_object'
        end as unreadable
    from parsed
),

found as (
    select
        batch_id, record_no, window_date, landed_at, bronze_row, unreadable,
        case when unreadable is null then json_object_keys(raw) end as keys
        {%- for name in names %}
        {%- set column = the.columns[loop.index0] %}
        {%- set path = variant_path(names_at_source(column)[0]) %}
        {%- set of_object = 'get_json_object(raw, ' ~ literal(object_path(names_at_source(column)[0])) ~ ')' %},
        case when unreadable is null then schema_of_variant(variant_get(line, {{ literal(path) }}, 'variant')) end as type_{{ loop.index }},
        case when unreadable is null then {{ of_object if column.data_type == 'json' else 'try_variant_get(line, ' ~ literal(path) ~ ", 'string')" }} end as found_{{ loop.index }},
        {#- only where a number is allowed does it matter how it is written -#}
        {{ 'case when unreadable is null then ' ~ of_object ~ ' end' if 'BIGINT' in json_kinds(column) else 'cast(null as string)' }} as written_{{ loop.index }}
        {%- endfor %}
    from read
),

texts as (
    select
        batch_id, record_no, false as is_deleted, window_date, landed_at, bronze_row,
        array({% for name in names %}{{ json_kind('type_' ~ loop.index, 'written_' ~ loop.index) }}{{ ', ' if not loop.last }}{% endfor %}) as kinds,
        case when unreadable is not null then unreadable when size(array_distinct(keys)) <> size(keys) then 'duplicate_key' end as unreadable
        {%- for column in the.columns %},
        {{ row_id(dataset, column.name) or json_text(column, 'type_' ~ loop.index, 'found_' ~ loop.index, 'written_' ~ loop.index) }} as text_{{ column.name }}{% endfor %}
    from found
),
{% else %}
texts as (
    select
        batch_id, record_no, window_date, landed_at, bronze_row, is_deleted, not_utf8,
        case
            when bad_row is not null then bad_row.reason
            when {% for name in names %}coalesce(octet_length(text_{{ name }}), 0) + {% endfor %}0 > {{ longest_record(dataset) }} then 'too_long'
        end as unreadable
        {%- for name in names %},
        {{ row_id(dataset, name) or 'case when octet_length(text_' ~ name ~ ') <= ' ~ longest_record(dataset) ~ ' then text_' ~ name ~ ' end' }} as text_{{ name }}{% endfor %}
    from identified
),
{% endif %}
{% set written = {} %}
{% for name, text in columns_written_otherwise(dataset).items() %}{% do written.update({'text_' ~ name: text}) %}{% endfor %}
meant as (
    select {{ star_replacing(written) }} from texts
),

typed as (
    select
        *{% for column in the.columns %},
        {{ typed('text_' ~ column.name, column.data_type, column.config.meta or {}) }} as {{ column.name }}{% endfor %}
    from meant
),

judged as (
    select
        *,
        case
            when unreadable is not null then array(unreadable)
            else {{ reasons_of(refusals(dataset)) }}
        end as reasons
    from typed
),

final as (
    select
        batch_id,
        record_no,
        {% if dated_by %}coalesce(cast(case when {{ in_calendar(dated_by) }} then {{ dated_by }} end as date), window_date){% else %}window_date{% endif %} as record_date,
        is_deleted,
        {% for name in names -%}
        {{ name }},
        {% endfor -%}
        {%- set money = the.meta.get('money') %}
        {%- if money %}
        case when reasons is not null then cast({{ money.amount }} as decimal(38, 4)) end as money_amount,
        case when reasons is not null then {{ 'text_' ~ money.currency if money.currency else 'cast(null as string)' }} end as money_currency,
        case when reasons is not null and text_{{ money.column }} is not null then ({{ money.amount }}) is not null end as is_money_read,
        {%- else %}
        cast(null as decimal(38, 4)) as money_amount,
        cast(null as string) as money_currency,
        cast(null as boolean) as is_money_read,
        {%- endif %}
        reasons,
        {% if lines -%}
        case when reasons is not null then coalesce(bronze_row.raw_start, bronze_row.raw, hex(bronze_row.raw_bytes)) end as raw,
        case when reasons is not null then bronze_row.file end as source_file,
        case when reasons is not null then bronze_row.line_number end as source_line
        {%- else -%}
        case
            when reasons is not null and bronze_row.bad_row is not null then coalesce(bronze_row.bad_row.raw, hex(bronze_row.bad_row.raw_bytes))
            {%- for layout in layouts %}
            {%- set cells %}
                {%- for column in layout.columns %}{{ literal(column) }}, case when unreadable = 'too_long' then left(bronze_row.cells.c{{ loop.index }}, 100) else bronze_row.cells.c{{ loop.index }} end{{ ', ' if not loop.last }}{% endfor -%}
            {% endset %}
            when reasons is not null and bronze_row.layout = {{ loop.index }} and is_deleted then {{ to_json_text('named_struct(' ~ cells ~ ", 'is_deleted', true)") }}
            when reasons is not null and bronze_row.layout = {{ loop.index }} then {{ to_json_text('named_struct(' ~ cells ~ ')') }}
            {%- endfor %}
            else cast(null as string)
        end as raw,
        case when reasons is not null then bronze_row.bad_row.file end as source_file,
        case when reasons is not null then bronze_row.bad_row.line_number end as source_line
        {%- endif %}
    from judged
    {%- if dataset != 'decisions' %}
    union all
    select
        batch_id, record_no, record_date, is_deleted,
        {% for column in the.columns %}cast(null as {{ sql_type(column.data_type) }}), {% endfor -%}
        cast(null as decimal(38, 4)), cast(null as string), cast(null as boolean), reasons, cast(null as string), cast(null as string), cast(null as bigint)
    from ({{ retracted_records(dataset) }})
    {%- endif %}
)

select * from final
{% endmacro %}

{# What a contract may say that Spark does not read: an error, never another value. #}
{% macro assert_spark_reads(the) %}
    {% for column in (the.columns if execute else []) %}
        {% set meta = column.config.meta or {} %}
        {% for option in ('symbol', 'percent', 'thousands', 'decimal', 'row_id') if meta.get(option) %}
            {{ exceptions.raise_compiler_error('the contract says ' ~ option ~ ' for ' ~ column.name ~ ', which Spark does not read. Next: build on one machine, without --engine spark') }}
        {% endfor %}
        {% for format in as_list(meta.get('time_format') or []) if '%' in format or format in ('seconds', 'milliseconds', 'microseconds', 'excel') %}
            {{ exceptions.raise_compiler_error('the contract says time_format ' ~ format ~ ' for ' ~ column.name ~ ', which Spark does not read. Next: build on one machine, without --engine spark') }}
        {% endfor %}
        {% if the.meta.format == 'json_lines' and names_at_source(column) | length > 1 %}
            {{ exceptions.raise_compiler_error('the contract has several names of ' ~ column.name ~ ' in a line, which Spark does not read. Next: build on one machine, without --engine spark') }}
        {% endif %}
        {% for value in meta.get('values') or {} if modules.re.search('\\\\\\d', as_text(value)) %}
            {{ exceptions.raise_compiler_error('the contract makes values of ' ~ column.name ~ ' from parts of a text, which Spark does not. Next: build on one machine, without --engine spark') }}
        {% endfor %}
        {% for name in names_at_source(column) if '=' in name and is_path(name) %}
            {{ exceptions.raise_compiler_error('the contract searches a list for ' ~ column.name ~ ', which Spark does not. Next: build on one machine, without --engine spark') }}
        {% endfor %}
    {% endfor %}
{% endmacro %}

{# A name at the source as a path into a list of one line. #}
{% macro variant_path(name) %}{{ return('$[0]' ~ (name[1:] if is_path(name) else '["' ~ name ~ '"]')) }}{% endmacro %}

{# The same as a path into the line itself, for get_json_object(). #}
{% macro object_path(name) %}{{ return(name if is_path(name) else '$.' ~ name if modules.re.fullmatch('\\w+', name) else "$['" ~ name ~ "']") }}{% endmacro %}

{# The kind of a value of a line as DuckDB names it. A fraction, an exponent or a number past 64 bits makes a DOUBLE. #}
{% macro json_kind(type, written) -%}
    case
            when {{ type }} is null then null
            when {{ type }} = 'VOID' then 'NULL'
            when {{ type }} = 'STRING' then 'VARCHAR'
            when {{ type }} = 'BOOLEAN' then 'BOOLEAN'
            when {{ type }} like 'ARRAY%' then 'ARRAY'
            when {{ type }} like 'OBJECT%' then 'OBJECT'
            when regexp_like({{ written }}, '^-?[0-9]{1,18}$') or try_cast({{ written }} as bigint) is not null and not regexp_like({{ written }}, '[.eE]') then 'BIGINT'
            when regexp_like({{ written }}, '^[0-9]+$') and try_cast({{ written }} as decimal(38, 0)) <= 18446744073709551615 then 'UBIGINT'
            else 'DOUBLE'
        end
{%- endmacro %}

{# A value of a line as text: a number as the line has it where a fraction is not a whole number, else with all digits. #}
{% macro json_text(column, type, found, written) -%}
    {%- if column.data_type == 'json' -%} case when {{ type }} <> 'VOID' then {{ found }} end
    {%- else -%}
    case
            when {{ type }} = 'VOID' then null
            {%- if column.data_type in ('integer', 'bigint') %}
            when {{ type }} = 'DOUBLE' or {{ type }} like 'DECIMAL%' then {{ written }}
            {%- endif %}
            when {{ type }} = 'DOUBLE' then trim(trailing '.' from trim(trailing '0' from cast(try_cast(try_cast({{ found }} as double) as decimal(38, 18)) as string)))
            else {{ found }}
        end
    {%- endif -%}
{%- endmacro %}

{% macro spark__significant_digits(number) -%}
    octet_length(regexp_replace(regexp_replace({{ number }}, '(\.0*|(\.[0-9]*[1-9])0+)?([eE].*)?$', '$2'), '^-?[0.]*|\.', ''))
{%- endmacro %}
