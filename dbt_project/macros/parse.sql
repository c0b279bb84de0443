{# From raw text to typed columns, or to the reasons why not. Everything here follows the contract of the dataset. #}

{# Kinds of JSON value that may stand for a type. Numbers in JSON pass through a double, so amounts must be strings. #}
{% macro json_kinds(data_type) %}
    {% if data_type == 'bigint' or data_type == 'integer' %}{{ return(['BIGINT', 'UBIGINT']) }}
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
    regexp_matches({{ raw }}, ',\s*[\]}]') or regexp_matches({{ raw }}, '[0-9.]{17}')
            or contains({{ raw }}, 'NaN') or contains({{ raw }}, 'nan') or contains({{ raw }}, 'NAN') or contains({{ raw }}, 'nf') or contains({{ raw }}, 'NF')
{%- endmacro %}

{% macro leniently_read(raw) -%}
    {%- set bare = "regexp_replace(" ~ raw ~ ", '\"([^\"\\\\]|\\\\.)*\"', '\"\"', 'g')" -%}
    case
                when regexp_matches({{ bare }}, ',\s*[\]}]|(?i)[:,\[]\s*[+-]?(nan|inf)') then 'broken_json'
                when len(list_filter(regexp_extract_all({{ bare }}, '[0-9]+\.[0-9]+'), lambda number: len(number) > 16)) > 0 then 'too_many_digits'
            end
{%- endmacro %}

{# Pairs of (condition, reason) that send a record to the dead letters. #}
{% macro refusals(dataset) %}
    {% set the = contract(dataset) %}
    {% set lines = the.meta.format == 'json_lines' %}
    {% set pairs = [("lenient = 'too_many_digits'", 'too_many_digits')] if lines else [] %}
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
            {# a record that says that its key is gone has nothing but the key #}
            {% set there = '' if name in the.meta.key else ' and not is_deleted' %}
            {% do pairs.append(("(" ~ text ~ " is null or " ~ text ~ " = '')" ~ there, 'missing:' ~ name)) %}
        {% endif %}
        {% if column.data_type not in ('varchar', 'json') %}
            {% set unread = typed_right ~ " and " ~ name ~ " is null and " ~ text ~ " is not null" ~ (" and " ~ text ~ " <> ''" if meta.get('required') else '') %}
            {% if column.data_type.startswith('decimal') %}
                {% set nan = "regexp_full_match(" ~ text ~ ", '[+-]?nan', 'i')" %}
                {% set long = "regexp_full_match(" ~ text ~ ", '[+-]?\\d*\\.\\d{" ~ (decimals_of(column.data_type) + 1) ~ ",}')" %}
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

{# The entering records of a dataset, read once: typed columns, or a list of reasons and the raw text. #}
{% macro parse_records(dataset) %}
{% set _ = source('bronze', dataset) %}
{% set the = contract(dataset) %}
{% set lines = the.meta.format == 'json_lines' %}
{% set names = the.columns | map(attribute='name') | list %}
{% set dated_by = the.meta.get('event_time') or the.meta.get('record_date') %}
with batches as (
    select batch_id, window_date, landed_at from {{ ref('plan_batches') }}
    where dataset = '{{ dataset }}' and is_entering
),

bronze as (
    {{ read_bronze(dataset) }}
),

identified as (
    select bronze.*, bronze as bronze_row, batches.batch_id, batches.window_date, batches.landed_at
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
            when raw is null then 'invalid_utf8'
            when not json_valid(raw) then 'broken_json'
            when json_type(raw) <> 'OBJECT' then 'not_an_object'
            when lenient = 'broken_json' then 'broken_json'
        end as unreadable
    from looked_at
),

shaped as (
    select
        batch_id, record_no, window_date, landed_at, bronze_row, unreadable, lenient,
        case when unreadable is null then json_keys(raw) end as keys,
        case when unreadable is null then json_type(raw, [{% for name in names %}'$.{{ name }}'{{ ', ' if not loop.last }}{% endfor %}]) end as kinds,
        from_json(
            case when unreadable is null then raw end,
            '{ {%- for column in the.columns -%} "{{ column.name }}":"{{ 'JSON' if column.data_type == 'json' else 'VARCHAR' }}"{{ ',' if not loop.last }} {%- endfor -%} }'
        ) as parsed
    from read
),

texts as (
    select
        batch_id, record_no, false as is_deleted, window_date, landed_at, bronze_row, kinds, lenient,
        -- one key twice is two answers; only where not every key is one of the contract's is there anything to compare
        case
            when unreadable is not null then unreadable
            when len(keys) <> list_count(kinds) then case when len(list_distinct(keys)) <> len(keys) then 'duplicate_key' end
        end as unreadable
        {%- for name in names %},
        parsed.{{ name }}::varchar as text_{{ name }}{% endfor %}
    from shaped
),
{% else %}
texts as (
    select
        batch_id, record_no, coalesce(is_deleted, false) as is_deleted, window_date, landed_at, bronze_row, cast(null as varchar) as unreadable
        {%- for name in names %},
        {{ name }} as text_{{ name }}{% endfor %}
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
        is_deleted,
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
        case when reasons is not null then coalesce(bronze_row.raw, hex(bronze_row.raw_bytes)) end as raw,
        case when reasons is not null then bronze_row.file end as source_file,
        case when reasons is not null then bronze_row.line_number end as source_line
        {%- else -%}
        case
            when reasons is not null
                then cast(json_merge_patch(to_json(bronze_row), '{"record_no": null, "bronze_file": null}') as varchar)
        end as raw,
        cast(null as varchar) as source_file,
        cast(null as bigint) as source_line
        {%- endif %}
    from judged
    {%- if dataset != 'decisions' %}
    union all by name
    {{ retracted_records(dataset) }}
    {%- endif %}
)

select * from final
{% endmacro %}

{# The records of retracted batches: counted, and not parsed, so that nothing in them can break a build. #}
{% macro retracted_records(dataset) %}
    {% set files = entering_files(dataset, retracted=true) %}
    {% if files %}
    select batches.batch_id, bronze.record_no, batches.window_date as record_date, false as is_deleted, ['retracted'] as reasons
    from read_parquet({{ files }}, filename = 'bronze_file') as bronze
    inner join {{ ref('plan_batches') }} as batches
        on batches.batch_id = regexp_extract(bronze.bronze_file, '([^/\\]+)[/\\][^/\\]+$', 1)
    {% else %}
    select cast(null as varchar) as batch_id where false
    {% endif %}
{% endmacro %}

{# The batches of a dataset that a decision takes out as a whole. #}
{% macro retracted_batches(dataset) %}
    {% if dataset == 'decisions' %}{{ return('null') }}{% endif %}
    -- depends_on: {{ ref('plan_keys_decisions') }}
    {% set decided = "(select target_batch_id from (" ~ whole('records_decisions') ~ ") where fate = 'current' and action = 'withdraw'"
        ~ " and target_record_no is null and target_dataset = '" ~ dataset ~ "')" %}
    {{ return(literals(decided, 'target_batch_id')) }}
{% endmacro %}

{# The Parquet files of a dataset's entering batches, as a list of SQL; nothing if there is none. #}
{% macro entering_files(dataset, retracted=false) %}
    {% set batches = ref('plan_batches') %}
    {% set out = retracted_batches(dataset) %}
    {% if not execute %}{{ return('') }}{% endif %}
    {% set query %}
        select unnest(files) from {{ batches }}
        where dataset = '{{ dataset }}' and is_entering and batch_id {{ 'in' if retracted else 'not in' }} ({{ out if retracted or out != 'null' else "''" }})
        order by 1
    {% endset %}
    {% set files = run_query(query).columns[0].values() %}
    {{ return("['" ~ (files | join("', '")) ~ "']" if files else '') }}
{% endmacro %}

{# The entering Parquet of a dataset. A column that the contract names and no file has reads as null. #}
{% macro read_bronze(dataset) %}
    {% set the = contract(dataset) %}
    {% set files = entering_files(dataset) %}
    select
        cast(null as bigint) as record_no, cast(null as varchar) as bronze_file
        {%- if the.meta.format == 'json_lines' %},
        cast(null as varchar) as raw, cast(null as blob) as raw_bytes, cast(null as varchar) as file, cast(null as bigint) as line_number
        {%- else %}{% for column in the.columns %},
        cast(null as varchar) as {{ column.name }}{% endfor %}, cast(null as boolean) as is_deleted{% endif %}
    where false
    {% if files %}
    union all by name
    select * from read_parquet({{ files }}, union_by_name = true, filename = 'bronze_file')
    {% endif %}
{% endmacro %}

{# A name that is empty names nothing. Records keep it as it came, so that it has its part in the contest; silver does not. #}
{% macro empty_as_missing(name) -%} nullif({{ name }}, '') {%- endmacro %}
