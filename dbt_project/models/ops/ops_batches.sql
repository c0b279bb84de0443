with final as (
    select
        dataset, batch_id, source, window_start, window_end, window_date, snapshot_id, contract_version, landed_at,
        counted_by_source, records_written, bytes,
        -- names alone: a home may move
        list_transform(files, lambda file: regexp_extract(file, '[^/\\]+$')) as files,
        inputs, input_bytes, input_records, waiting, resolved, part,
        '{{ var("build_id", "dev") }}' as build_id,
        '{{ var("model_version", "dev") }}' as model_version
    from {{ ref('plan_batches') }}
    where is_entering and batch_id not in (select batch_id from {{ ref('plan_held') }})
)

select * from final
