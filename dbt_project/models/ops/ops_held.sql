-- depends_on: {{ ref('plan_batches') }}
with final as (
    select dataset, batch_id, window_start, window_end, window_date, landed_at, inputs, refused_records, records, broken_batch_id, cause, '{{ var("build_id", "dev") }}' as build_id
    from {{ ref('plan_held') }}
)

select * from final
