{# The end of the last landed window of a dataset, from the manifests in bronze: Clearwell's sources are files, not tables. #}
{% macro duckdb__collect_freshness(source, loaded_at_field, filter) %}
    {% set manifests = env_var('CLEARWELL_HOME', '../data') ~ '/bronze/' ~ source.identifier ~ '/*/*/manifest.json' %}
    {% set found = run_query("select count(*) from glob('" ~ manifests ~ "')").columns[0].values()[0] %}
    {% call statement('collect_freshness', fetch_result=True, auto_begin=False) -%}
    select max(window_end) at time zone 'UTC' as max_loaded_at, current_timestamp at time zone 'UTC' as snapshotted_at
    from {% if found %}read_json('{{ manifests }}', format = 'unstructured', columns = {window_end: 'timestamptz'})
        {%- else %}(select cast(null as timestamptz) as window_end){% endif %}
    {%- endcall %}
    {{ return(load_result('collect_freshness')) }}
{% endmacro %}
