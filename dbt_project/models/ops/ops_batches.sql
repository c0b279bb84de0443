-- depends_on: {{ ref('plan_keys_decisions') }} {{ ref('records_decisions') }}
-- for JSON lines, the columns are the keys in a batch's first thousand lines
with keys as (
    {% for dataset in datasets() if contract(dataset).meta.format == 'json_lines' -%}
    select {{ batch_of_record() }} as batch_id, unnest(json_keys(raw)) as column_name
    from ({{ read_bronze(dataset) }})
    where record_no <= 1000 and json_valid(raw) and json_type(raw) = 'OBJECT'
    union all
    {% endfor -%}
    select null as batch_id, null as column_name where false
),

of_lines as (
    select batch_id, list(distinct column_name order by column_name) as columns from keys group by batch_id
),

final as (
    select
        dataset, batches.batch_id, source, window_start, window_end, window_date, snapshot_id, contract_version, landed_at,
        counted_by_source, records_written, bytes,
        -- file names only: a home may be moved
        list_transform(files, lambda file: regexp_extract(file, '[^/\\]+$')) as files,
        coalesce(of_lines.columns, batches.columns) as columns,
        inputs, input_bytes, input_records, waiting, resolved, part,
        '{{ var("build_id", "dev") }}' as build_id,
        '{{ var("model_version", "dev") }}' as model_version
    from {{ ref('plan_batches') }} as batches
    left join of_lines on batches.batch_id = of_lines.batch_id
    where is_entering and batches.batch_id not in (select batch_id from {{ ref('plan_held') }})
)

select * from final
