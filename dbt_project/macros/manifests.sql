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

{# No rows, with these columns. #}
{% macro empty(types) -%}
    select {% for name, type in types.items() %}cast(null as {{ type }}) as {{ name }}, {% endfor %}cast(null as varchar) as manifest_file where false
{%- endmacro %}
