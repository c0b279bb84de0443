with final as (
    select dataset, batch_id, window_start, window_end, window_date, refused_records, records, broken_batch_id, cause, '{{ var("build_id", "dev") }}' as build_id
    from {{ ref('plan_held') }}
)

select * from final
