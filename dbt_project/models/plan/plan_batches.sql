{% set bronze = env_var('CLEARWELL_HOME', '../data') ~ '/bronze/*/*/' %}
{% set manifests = var('plan') or bronze ~ '*/manifest.json' %}
{% set indexes = bronze ~ 'compacted-*/index.json' %}
{% set from_date, to_date = dates_asked() %}
{# A missing plan is an error, not an empty build. With `dbt build` typed by hand, there may be no batches yet. #}
{% set found = execute and (var('plan') or run_query("select count(*) from glob(" ~ literal(manifests) ~ ")").columns[0].values()[0]) %}
{# a plan says itself where the records of compacted batches lie #}
{% set has_compacted = execute and not var('plan') and run_query("select count(*) from glob(" ~ literal(indexes) ~ ")").columns[0].values()[0] %}

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

compacted as (
    {% if has_compacted %}
    select batch_id, min(regexp_replace(index_file, '[^/\\]+$', '')) as folder
    from (
        select index_file, unnest(map_keys(batches)) as batch_id
        from read_json({{ literal(indexes) }}, filename = 'index_file', format = 'unstructured', columns = {batches: 'map(varchar, json)'})
    )
    -- a batch that has its own file is read from there
    where batch_id not in (select regexp_extract(file, '([^/\\]+)[/\\][^/\\]+$', 1) from glob({{ literal(bronze ~ '*/*.parquet') }}))
    group by batch_id
    {% else %}
    select cast(null as varchar) as batch_id, cast(null as varchar) as folder where false
    {% endif %}
),

final as (
    select
        dataset,
        snapshots.batch_id,
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
        list_transform(
            files, lambda file: coalesce(snapshots.folder, compacted.folder, regexp_replace(manifest_file, '[^/\\]+$', '')) || file.name
        ) as files,
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
    left join compacted on snapshots.batch_id = compacted.batch_id
    where true
    {%- if from_date %} and window_start >= timestamptz '{{ from_date }}'{% endif %}
    {%- if to_date %} and window_start < timestamptz '{{ to_date }}'{% endif %}
)

select * from final
