{% set manifests = var('plan') or env_var('CLEARWELL_HOME', '../data') ~ '/bronze/*/*/*/manifest.json' %}
{% set from_date, to_date = dates_asked() %}
{# A missing plan is an error, not an empty build. With `dbt build` typed by hand, there may be no batches yet. #}
{% set found = execute and (var('plan') or run_query("select count(*) from glob(" ~ literal(manifests) ~ ")").columns[0].values()[0]) %}

with manifests as (
    {% if found %}
    select * from read_json(
        {{ literal(manifests) }},
        filename = 'manifest_file',
        format = '{{ "newline_delimited" if var("plan") else "unstructured" }}',
        columns = {{ manifest_columns() }}
    )
    {% else %}
    {{ empty(manifest_types()) }}
    {% endif %}
),

snapshots as (
    -- the batches of one snapshot enter together or not at all
    select * from manifests
    where {{ 'true' if var('plan') else "list_has_all((select list(batch_id) from manifests), coalesce(map_values(snapshot_batches), []))" }}
),

final as (
    select
        dataset,
        batch_id,
        source,
        window_start at time zone 'UTC' as window_start,
        window_end at time zone 'UTC' as window_end,
        cast(window_start at time zone 'UTC' as date) as window_date,
        snapshot_id,
        coalesce(map_values(snapshot_batches), []) as snapshot_batches,
        contract_version,
        landed_at at time zone 'UTC' as landed_at,
        counted_by_source,
        records_written,
        bytes,
        list_transform(files, lambda file: coalesce(folder, regexp_replace(manifest_file, '[^/\\]+$', '')) || file.name) as files,
        coalesce(columns, []) as columns,
        coalesce(renamed, map {}) as renamed,
        list_transform(coalesce(inputs, []), lambda input: input.path) as inputs,
        list_transform(coalesce(inputs, []), lambda input: input.bytes) as input_bytes,
        list_transform(coalesce(inputs, []), lambda input: input.records) as input_records,
        list_transform(coalesce(waiting, []), lambda file: file.path) as waiting,
        coalesce(resolved, []) as resolved,
        coalesce(part, '') as part,
        coalesce(is_entering, true) as is_entering,
        coalesce(is_leaving, false) as is_leaving
    from snapshots
    where true
    {%- if from_date %} and window_start >= timestamptz '{{ from_date }}'{% endif %}
    {%- if to_date %} and window_start < timestamptz '{{ to_date }}'{% endif %}
)

select * from final
