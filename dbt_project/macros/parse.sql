{# From raw text to typed columns, or to the reasons why not. Everything here follows the contract of the dataset. #}

{# Kinds of JSON value that may stand for a type. An amount may be a number, of up to 15 digits: what a double holds exactly. #}
{% macro json_kinds(data_type) %}
    {% if data_type == 'bigint' or data_type == 'integer' %}{{ return(['BIGINT', 'UBIGINT']) }}
    {% elif data_type.startswith('decimal') %}{{ return(['VARCHAR', 'BIGINT', 'UBIGINT', 'DOUBLE']) }}
    {% elif data_type == 'boolean' %}{{ return(['BOOLEAN']) }}
    {% elif data_type == 'json' %}{{ return(['OBJECT']) }}
    {% else %}{{ return(['VARCHAR']) }}{% endif %}
{% endmacro %}

{# How many decimals a decimal type keeps. #}
{% macro decimals_of(data_type) %}{{ return(data_type.split(',')[1].rstrip(')') | int) }}{% endmacro %}

{# A typed value from text, or null. The patterns are strict because casts are lenient: a cast to timestamp drops the
   offset, a cast to decimal rounds. #}
{% macro typed(text, data_type) -%}
    {%- if data_type == 'timestamp' -%}
        case when regexp_full_match({{ text }}, '\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-](0\d|1[0-5])(:?[0-5]\d)?)?')
            then try_cast({{ text }} as timestamptz) at time zone 'UTC' end
    {%- elif data_type == 'date' -%}
        case when regexp_full_match({{ text }}, '\d{4}-\d{2}-\d{2}') then try_cast({{ text }} as date) end
    {%- elif data_type.startswith('decimal') -%}
        case when regexp_full_match({{ text }}, '[+-]?(\d+(\.\d{0,{{ decimals_of(data_type) }}})?|\.\d{1,{{ decimals_of(data_type) }}})') then try_cast({{ text }} as {{ data_type }}) end
    {%- elif data_type in ('integer', 'bigint') -%}
        case when regexp_full_match({{ text }}, '[+-]?\d+') then try_cast({{ text }} as {{ data_type }}) end
    {%- elif data_type == 'boolean' -%}
        case when {{ text }} in ('true', 't') then true when {{ text }} in ('false', 'f') then false end
    {%- else -%}
        {{ text }}
    {%- endif -%}
{%- endmacro %}

{# DuckDB reads what is not JSON: a comma before a bracket, NaN and infinity. And it rounds long fractions to a double.
   A cheap look finds the lines that may have such a thing; the close one looks outside of texts. #}
{% macro may_be_lenient(raw) -%}
    regexp_matches({{ raw }}, ',\s*[\]}]') or regexp_matches({{ raw }}, '[0-9.]{16}[0-9.eE]')
            or contains({{ raw }}, 'NaN') or contains({{ raw }}, 'nan') or contains({{ raw }}, 'NAN') or contains({{ raw }}, 'nf') or contains({{ raw }}, 'NF')
{%- endmacro %}

{% macro leniently_read(raw) -%}
    {%- set bare = "regexp_replace(" ~ raw ~ ", '\"([^\"\\\\]|\\\\.)*\"', '\"\"', 'g')" -%}
    case
                when regexp_matches({{ bare }}, ',\s*[\]}]|(?i)[:,\[]\s*[+-]?(nan|inf)') then 'broken_json'
                when len(list_filter(regexp_extract_all({{ bare }}, '-?[0-9][0-9.]*([eE][+-]?[0-9]+)?'), lambda number: {{ is_rounded('number') }})) > 0 then 'rounded'
            end
{%- endmacro %}

{# Whether a number as JSON writes it changes when it passes through a double: a fraction, or an exponent, with many digits. #}
{% macro is_rounded(number) -%}
    (regexp_matches({{ number }}, '^-?[0-9]+[.eE]') and {{ significant_digits(number) }} > 15 and try_cast({{ number }} as double)::varchar is distinct from {{ number }})
{%- endmacro %}

{# A line in which the numbers that would be rounded are texts, marked. Text by text, as numbers within texts stay. #}
{% macro with_marked_numbers(raw) -%}
    array_to_string(list_transform(
            regexp_extract_all({{ raw }}, '"([^"\\]|\\.)*"|-?[0-9][0-9.]*([eE][+-]?[0-9]+)?|[^"0-9-]+|-'),
            lambda part: case when part[1] <> '"' and {{ is_rounded('part') }} then '"\u0001number ' || part || '"' else part end
        ), '')
{%- endmacro %}

{# What a line says for a column, as text: marked numbers as they came. #}
{% macro text_in_line(name, data_type) -%}
    {%- set text = 'parsed.' ~ name ~ '::varchar' -%}
    {%- if data_type == 'json' -%}
        case when marked is null then {{ text }} else regexp_replace({{ text }}, '"\\u0001number ([^"]+)"', '\1', 'g') end
    {%- elif data_type.startswith('decimal') -%}
        case when marked is null then {{ text }} else replace({{ text }}, chr(1) || 'number ', '') end
    {%- else -%}
        {{ text }}
    {%- endif -%}
{%- endmacro %}

{# How many significant digits a number has: without the zeros before it and those that end its fraction. #}
{% macro significant_digits(number) -%}
    strlen(regexp_replace(regexp_replace({{ number }}, '(\.0*|(\.[0-9]*[1-9])0+)?([eE].*)?$', '\2'), '^-?[0.]*|\.', '', 'g'))
{%- endmacro %}

{# Pairs of (condition, reason) that send a record to the dead letters. #}
{% macro refusals(dataset) %}
    {% set the = contract(dataset) %}
    {% set lines = the.meta.format == 'json_lines' %}
    {% set pairs = [] %}
    {% for column in the.columns %}
        {% set name, meta = column.name, column.config.meta or {} %}
        {% set text = 'text_' ~ name %}
        {% set typed_right = 'true' %}
        {% if lines %}
            {% set kind = 'kinds[' ~ loop.index ~ ']' %}
            {% set typed_right = kind ~ " in ('" ~ (json_kinds(column.data_type) | join("', '")) ~ "')" %}
            {% do pairs.append((kind ~ " <> 'NULL' and not " ~ typed_right, 'wrong_type:' ~ name)) %}
        {% endif %}
        {% if meta.get('required') %}
            {% do pairs.append(("(" ~ text ~ " is null or " ~ text ~ " = '')", 'missing:' ~ name)) %}
        {% endif %}
        {% if column.data_type not in ('varchar', 'json') %}
            {% set unread = typed_right ~ " and " ~ name ~ " is null and " ~ text ~ " is not null" ~ (" and " ~ text ~ " <> ''" if meta.get('required') else '') %}
            {% if column.data_type.startswith('decimal') %}
                {% set nan = "regexp_full_match(" ~ text ~ ", '[+-]?nan', 'i')" %}
                {% set long = "regexp_full_match(" ~ text ~ ", '[+-]?\\d*\\.\\d{" ~ (decimals_of(column.data_type) + 1) ~ ",}')" %}
                {% if lines %}
                    {% set digits = "case when " ~ kind ~ " <> 'VARCHAR' and " ~ typed_right ~ " then " ~ significant_digits(text) ~ " > 15 else false end" %}
                    {% set long = "(" ~ long ~ " or not " ~ digits ~ " and " ~ kind ~ " = 'DOUBLE' and contains(" ~ text ~ ", 'e-'))" %}
                    {% do pairs.append((digits, 'too_many_digits:' ~ name)) %}
                    {% set unread = unread ~ " and not " ~ digits %}
                {% endif %}
                {% do pairs.append((typed_right ~ " and " ~ nan, 'not_a_number:' ~ name)) %}
                {% do pairs.append((typed_right ~ " and " ~ long, 'too_many_decimals:' ~ name)) %}
                {% set unread = unread ~ " and not " ~ nan ~ " and not " ~ long %}
            {% endif %}
            {% do pairs.append((unread, 'not_parsed:' ~ name)) %}
        {% endif %}
        {% if meta.get('excluded') %}
            {% do pairs.append((name ~ " in (" ~ (meta.excluded | join(', ')) ~ ")", 'out_of_range:' ~ name)) %}
        {% endif %}
        {% if meta.get('min') is not none %}
            {% do pairs.append((name ~ " < '" ~ meta.min ~ "'::" ~ column.data_type, 'out_of_range:' ~ name)) %}
        {% endif %}
        {% if meta.get('max') is not none %}
            {% do pairs.append((name ~ " > '" ~ meta.max ~ "'::" ~ column.data_type, 'out_of_range:' ~ name)) %}
        {% endif %}
        {% if meta.get('pattern') %}
            {% do pairs.append((typed_right ~ " and " ~ text ~ " <> '' and not regexp_full_match(" ~ text ~ ", '" ~ meta.pattern ~ "')", 'not_matching:' ~ name)) %}
        {% endif %}
        {% if meta.get('allowed') %}
            {% do pairs.append((typed_right ~ " and " ~ text ~ " <> '' and " ~ name ~ " not in ('" ~ (meta.allowed | join("', '")) ~ "')", 'not_allowed:' ~ name)) %}
        {% endif %}
    {% endfor %}
    {% set event_time = the.meta.get('event_time') %}
    {% if event_time %}
        {% do pairs.append((event_time ~ " > landed_at + interval 1 day", 'in_future:' ~ event_time)) %}
    {% endif %}
    {{ return(pairs) }}
{% endmacro %}

{# How many bytes a record may have, without the newline that ends it. A longer one is refused unread: no JSON function sees it. #}
{% macro longest_record(dataset) %}{{ return(contract(dataset).meta.get('longest_record', 1000000)) }}{% endmacro %}

{# Whether bytes that are not UTF-8 only stop within their last character. #}
{% macro stops_within_a_character(bytes) -%}
    ({%- for left in range(1, 4) %}try(decode(array_slice({{ bytes }}, 1, octet_length({{ bytes }}) - {{ left }}))) is not null{{ ' or ' if not loop.last }}{% endfor -%})
{%- endmacro %}

{# The entering records of a dataset, read once: typed columns, or a list of reasons and the raw text. #}
{% macro parse_records(dataset) %}
{% set _ = source('bronze', dataset) %}
{% set the = contract(dataset) %}
{% set lines = the.meta.format == 'json_lines' %}
{% set names = the.columns | map(attribute='name') | list %}
{% set dated_by = the.meta.get('event_time') or the.meta.get('record_date') %}
with batches as (
    select batch_id, source, window_date, landed_at from {{ ref('plan_batches') }}
    where dataset = '{{ dataset }}' and is_entering
),

bronze as (
    {{ read_bronze(dataset) }}
),

identified as (
    select bronze.*, bronze as bronze_row, batches.batch_id, batches.source, batches.window_date, batches.landed_at
    from bronze
    inner join batches on batches.batch_id = regexp_extract(bronze.bronze_file, '([^/\\]+)[/\\][^/\\]+$', 1)
),

{% if lines %}
looked_at as (
    select *, case when {{ may_be_lenient('raw') }} then {{ leniently_read('raw') }} end as lenient
    from identified
),

read as (
    select
        *,
        case
            when raw_start is not null then 'too_long'
            -- what stops without a newline may have been landed while its writer was still at it
            when raw is null
                then case when is_cut and source <> 'corrections' and {{ stops_within_a_character('raw_bytes') }} then 'half_line' else 'invalid_utf8' end
            when not json_valid(raw) then case when is_cut and source <> 'corrections' then 'half_line' else 'broken_json' end
            when json_type(raw) <> 'OBJECT' then 'not_an_object'
            when lenient = 'broken_json' then 'broken_json'
        end as unreadable,
        case when lenient = 'rounded' and json_valid(raw) then {{ with_marked_numbers('raw') }} end as marked
    from looked_at
),

shaped as (
    select
        batch_id, record_no, window_date, landed_at, bronze_row, unreadable, marked,
        case when unreadable is null then json_keys(raw) end as keys,
        case when unreadable is null then json_type(raw, [{% for name in names %}'$.{{ name }}'{{ ', ' if not loop.last }}{% endfor %}]) end as kinds,
        from_json(
            case when unreadable is null then coalesce(marked, raw) end,
            '{ {%- for column in the.columns -%} "{{ column.name }}":"{{ 'JSON' if column.data_type == 'json' else 'VARCHAR' }}"{{ ',' if not loop.last }} {%- endfor -%} }'
        ) as parsed
    from read
),

texts as (
    select
        batch_id, record_no, window_date, landed_at, bronze_row, kinds,
        -- one key twice is two answers; only where not every key is one of the contract's is there anything to compare
        case
            when unreadable is not null then unreadable
            when len(keys) <> list_count(kinds) then case when len(list_distinct(keys)) <> len(keys) then 'duplicate_key' end
        end as unreadable
        {%- for column in the.columns %},
        {{ text_in_line(column.name, column.data_type) }} as text_{{ column.name }}{% endfor %}
    from shaped
),
{% else %}
texts as (
    select
        batch_id, record_no, window_date, landed_at, bronze_row,
        case when {% for name in names %}coalesce(strlen({{ name }}), 0) + {% endfor %}0 > {{ longest_record(dataset) }} then 'too_long' end as unreadable
        {%- for name in names %},
        case when strlen({{ name }}) <= {{ longest_record(dataset) }} then {{ name }} end as text_{{ name }}{% endfor %}
    from identified
),
{% endif %}
typed as (
    select
        *{% for column in the.columns %},
        {{ typed('text_' ~ column.name, column.data_type) }} as {{ column.name }}{% endfor %}
    from texts
),

judged as (
    select
        *,
        case
            when unreadable is not null then [unreadable]
            {%- set pairs = refusals(dataset) %}
            {%- if pairs %}
            when {% for condition, reason in pairs %}coalesce({{ condition }}, false){{ '\n                or ' if not loop.last }}{% endfor %}
                then list_filter([
                    {%- for condition, reason in pairs %}
                    case when {{ condition }} then '{{ reason }}' end{{ ',' if not loop.last }}
                    {%- endfor %}
                ], lambda reason: reason is not null)
            {%- endif %}
        end as reasons
    from typed
),

final as (
    select
        batch_id,
        record_no,
        {% if dated_by %}coalesce(cast({{ dated_by }} as date), window_date){% else %}window_date{% endif %} as record_date,
        {% for name in names -%}
        {{ name }},
        {% endfor -%}
        {%- set money = the.meta.get('money') %}
        {%- if money %}
        case when reasons is not null then cast({{ money.amount }} as decimal(38, 4)) end as money_amount,
        case when reasons is not null then {{ 'text_' ~ money.currency if money.currency else 'cast(null as varchar)' }} end as money_currency,
        case when reasons is not null and text_{{ money.column }} is not null then ({{ money.amount }}) is not null end as is_money_read,
        {%- else %}
        cast(null as decimal(38, 4)) as money_amount,
        cast(null as varchar) as money_currency,
        cast(null as boolean) as is_money_read,
        {%- endif %}
        reasons,
        {% if lines -%}
        case when reasons is not null then coalesce(bronze_row.raw_start, bronze_row.raw, hex(bronze_row.raw_bytes)) end as raw,
        case when reasons is not null then bronze_row.file end as source_file,
        case when reasons is not null then bronze_row.line_number end as source_line
        {%- else -%}
        case
            when unreadable = 'too_long'
                then cast(to_json({ {%- for name in names %}'{{ name }}': left(bronze_row.{{ name }}, 100){{ ', ' if not loop.last }}{% endfor -%} }) as varchar)
            when reasons is not null
                then cast(json_merge_patch(to_json(bronze_row), '{"record_no": null, "bronze_file": null}') as varchar)
        end as raw,
        cast(null as varchar) as source_file,
        cast(null as bigint) as source_line
        {%- endif %}
    from judged
)

select * from final
{% endmacro %}

{# The entering Parquet of a dataset. A column that the contract names and no file has reads as null. #}
{% macro read_bronze(dataset) %}
    {% set the = contract(dataset) %}
    {% set batches = ref('plan_batches') %}
    {% set files = [] %}
    {% if execute %}
        {% set files = run_query("select unnest(files) from " ~ batches ~ " where dataset = '" ~ dataset ~ "' and is_entering order by 1").columns[0].values() %}
    {% endif %}
    select
        cast(null as bigint) as record_no, cast(null as varchar) as bronze_file
        {%- if the.meta.format == 'json_lines' %},
        cast(null as varchar) as raw, cast(null as blob) as raw_bytes, cast(null as varchar) as file, cast(null as bigint) as line_number,
        cast(null as varchar) as raw_start, cast(null as boolean) as is_cut
        {%- else %}{% for column in the.columns %},
        cast(null as varchar) as {{ column.name }}{% endfor %}{% endif %}
    where false
    {% if files %}
    union all by name
    select *
    {%- if the.meta.format == 'json_lines' %} replace (
        case when is_long then null else raw end as raw, case when is_long then null else raw_bytes end as raw_bytes
    ), case when is_long then coalesce(left(raw, 1000), hex(array_slice(raw_bytes, 1, 500))) end as raw_start
    from (
        select
            *, not coalesce(ends_with(raw, chr(10)), array_slice(raw_bytes, -1, -1) = '\x0A'::blob) as is_cut,
            coalesce(strlen(raw), octet_length(raw_bytes)) - (not is_cut)::int > {{ longest_record(dataset) }} as is_long
        {%- endif %}
    from read_parquet(['{{ files | join("', '") }}'], union_by_name = true, filename = 'bronze_file')
    {%- if the.meta.format == 'json_lines' %}
    ){% endif %}
    {% endif %}
{% endmacro %}

{# A name that is empty names nothing. Records keep it as it came, so that it has its part in the contest; silver does not. #}
{% macro empty_as_missing(name) -%} nullif({{ name }}, '') {%- endmacro %}
