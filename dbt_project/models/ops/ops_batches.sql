-- depends_on: {{ ref('plan_keys_decisions') }} {{ ref('records_decisions') }}
-- for JSON lines, the columns are the keys in a batch's first thousand lines
with keys as (
    {% for dataset in datasets() if contract(dataset).meta.format == 'json_lines' -%}
    select {{ batch_of_record() }} as batch_id, {{ unnested(json_keys('raw')) }} as column_name
    from ({{ read_bronze(dataset) }})
    where record_no <= 1000 and {{ is_json_object('raw') }}
    union all
    {% endfor -%}
    select cast(null as string) as batch_id, cast(null as string) as column_name where false
),

of_lines as (
    select batch_id, {{ distinct_list('column_name') }} as columns from keys group by batch_id
),

final as (
    select
        dataset, batches.batch_id, source, window_start, window_end, window_date, snapshot_id, contract_version, landed_at,
        counted_by_source, records_written, bytes,
        -- file names only: a home may be moved
        {{ list_transform('files', 'file', "regexp_extract(file, '[^/\\\\]+$', 0)") }} as files,
        coalesce(of_lines.columns, batches.columns) as columns,
        inputs, input_bytes, input_records, waiting, resolved, part,
        '{{ var("build_id", "dev") }}' as build_id,
        '{{ var("model_version", "dev") }}' as model_version
    from {{ ref('plan_batches') }} as batches
    left join of_lines on batches.batch_id = of_lines.batch_id
    where is_entering and batches.batch_id not in (select batch_id from {{ ref('plan_held') }})
)

select * from final
