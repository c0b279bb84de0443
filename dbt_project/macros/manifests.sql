{# The fields of a manifest that a build reads, and the three that its plan adds. #}

{% macro manifest_types() %}
    {{ return({
        'dataset': 'varchar', 'batch_id': 'varchar', 'source': 'varchar', 'window_start': 'timestamptz', 'window_end': 'timestamptz',
        'snapshot_id': 'varchar', 'snapshot_batches': 'map(varchar, varchar)', 'contract_version': 'bigint', 'landed_at': 'timestamptz',
        'counted_by_source': 'bigint', 'records_written': 'bigint', 'bytes': 'bigint', 'files': 'struct(name varchar)[]',
        'part': 'varchar', 'columns': 'varchar[]', 'renamed': 'map(varchar, varchar)', 'inputs': 'struct(path varchar, bytes bigint, records bigint)[]', 'waiting': 'struct(path varchar)[]', 'resolved': 'varchar[]',
        'folder': 'varchar', 'is_entering': 'boolean', 'is_leaving': 'boolean'
    }) }}
{% endmacro %}

{% macro manifest_columns() -%}
    { {%- for name, type in manifest_types().items() %}{{ name }}: '{{ type }}'{{ ', ' if not loop.last }}{% endfor -%} }
{%- endmacro %}

{# A relation without rows, with these columns. #}
{% macro empty(types) -%}
    select {% for name, type in types.items() %}cast(null as {{ sql_type(type) }}) as {{ name }}, {% endfor %}cast(null as string) as manifest_file where false
{%- endmacro %}

{# The range of dates that `dbt build` typed by hand is limited to: the first date, and the end, not included; none if not set. #}
{% macro dates_asked() %}
    {% if var('plan') or not execute %}{{ return((none, none)) }}{% endif %}
    {% set found = [] %}
    {% for name in ('from', 'to') %}
        {% set text = (var(name) if var(name) is not none else '') | string | trim %}
        {% set is_date = modules.re.fullmatch('[0-9]{4}-[0-9]{2}-[0-9]{2}', text)
            and run_query("select try_cast('" ~ text ~ "' as date) is not null").columns[0].values()[0] %}
        {% if text and not is_date %}
            {{ exceptions.raise_compiler_error("--vars: " ~ name ~ " is '" ~ text ~ "', which is not a date. Next: --vars '{from: 2026-01-01, to: 2026-01-03}'") }}
        {% endif %}
        {% do found.append(text or none) %}
    {% endfor %}
    {% if found[0] and found[1] and found[0] >= found[1] %}
        {{ exceptions.raise_compiler_error("--vars: from " ~ found[0] ~ " to " ~ found[1] ~ " is empty: the end is not included. Next: set a later `to`") }}
    {% endif %}
    {{ return((found[0], found[1])) }}
{% endmacro %}
