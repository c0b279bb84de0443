{# Spark's parse of the entering records: the same texts, types and reasons as macros/parse.sql, by Spark's own JSON functions.
   docs/engines.md says where it differs. #}

{% macro spark__parse_records(dataset) %}
{% set _ = source('bronze', dataset) %}
{% set the = contract(dataset) %}
{% set lines = the.meta.format == 'json_lines' %}
{% set names = the.columns | map(attribute='name') | list %}
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
{{ typed_records(dataset, layouts) }}
{% endmacro %}

{# What a contract may say that Spark does not read: an error, never another value. #}
{% macro assert_spark_reads(the) %}
    {% if execute and (the.meta.get('where') or the.meta.get('each')) %}
        {{ exceptions.raise_compiler_error('the contract says `where` or `each`, which Spark does not read. Next: build on one machine, without --engine spark') }}
    {% endif %}
    {% for column in (the.columns if execute else []) %}
        {% set meta, names = column.config.meta or {}, names_at_source(column) %}
        {% set unread = [] %}
        {% for option in ('symbol', 'percent', 'thousands', 'decimal', 'hash', 'row_id', 'join') if meta.get(option) %}{% do unread.append(option) %}{% endfor %}
        {% for format in as_list(meta.get('time_format') or []) if '%' in format or format in ('seconds', 'milliseconds', 'microseconds', 'excel') %}
            {% do unread.append('time_format ' ~ format) %}
        {% endfor %}
        {% if the.meta.format == 'json_lines' and names | length > 1 %}{% do unread.append('several names in a line') %}{% endif %}
        {% for value in meta.get('values') or {} if modules.re.search('\\\\\\d', as_text(value)) %}{% do unread.append('values made of parts of a text') %}{% endfor %}
        {% for name in names if '=' in name and is_path(name) %}{% do unread.append('a search in a list') %}{% endfor %}
        {% if unread %}
            {{ exceptions.raise_compiler_error('the contract says ' ~ unread[0] ~ ' for ' ~ column.name ~ ', which Spark does not read. Next: build on one machine, without --engine spark') }}
        {% endif %}
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
