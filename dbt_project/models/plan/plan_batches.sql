{% set from_date, to_date = dates_asked() %}
{% set folder = "coalesce(snapshots.folder, compacted.folder, regexp_replace(manifest_file, '[^/\\\\]+$', ''))" %}

with manifests as (
    {{ manifests_of_plan(var('plan')) if var('plan') else manifests_of_bronze() }}
),

snapshots as (
    -- the batches of one snapshot enter together or not at all
    select * from manifests
    where {{ 'true' if var('plan') else are_all_in(map_values_of('snapshot_batches'), 'manifests', 'batch_id') }}
),

compacted as (
    {{ no_compacted_batches() if var('plan') else compacted_batches() }}
),

final as (
    select
        dataset,
        snapshots.batch_id,
        source,
        {{ in_utc_of('window_start') }} as window_start,
        {{ in_utc_of('window_end') }} as window_end,
        cast({{ in_utc_of('window_start') }} as date) as window_date,
        snapshot_id,
        {{ map_values_of('snapshot_batches') }} as snapshot_batches,
        contract_version,
        {{ in_utc_of('landed_at') }} as landed_at,
        counted_by_source,
        records_written,
        bytes,
        {{ list_transform('files', 'file', folder ~ ' || file.name') }} as files,
        coalesce(columns, {{ list_of([]) }}) as columns,
        coalesce(renamed, {{ empty_map() }}) as renamed,
        {{ list_transform('coalesce(inputs, ' ~ list_of([]) ~ ')', 'input', 'input.path') }} as inputs,
        {{ list_transform('coalesce(inputs, ' ~ list_of([]) ~ ')', 'input', 'input.bytes') }} as input_bytes,
        {{ list_transform('coalesce(inputs, ' ~ list_of([]) ~ ')', 'input', 'input.records') }} as input_records,
        {{ list_transform('coalesce(waiting, ' ~ list_of([]) ~ ')', 'file', 'file.path') }} as waiting,
        coalesce(resolved, {{ list_of([]) }}) as resolved,
        coalesce(part, '') as part,
        coalesce(is_entering, true) as is_entering,
        coalesce(is_leaving, false) as is_leaving
    from snapshots
    left join compacted on snapshots.batch_id = compacted.batch_id
    where true
    {%- if from_date %} and window_start >= cast('{{ from_date }}' as {{ sql_type('timestamptz') }}){% endif %}
    {%- if to_date %} and window_start < cast('{{ to_date }}' as {{ sql_type('timestamptz') }}){% endif %}
)

select * from final
