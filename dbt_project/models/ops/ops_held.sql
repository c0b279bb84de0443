-- depends_on: {{ ref('plan_batches') }}
with held as (
    select dataset, batch_id, window_start, window_end, window_date, landed_at, inputs, refused_records, records, broken_batch_id, cause, '{{ var("build_id", "dev") }}' as build_id
    from {{ ref('plan_held') }}
    union all by name
    select * exclude (is_open) from {{ before('ops_held') }}
    where batch_id not in (select batch_id from {{ ref('plan_batches') }} where is_entering)
),

batches as (
    {{ whole('ops_batches') }}
),

final as (
    select
        *,
        -- closed once its window has landed again completely and entered
        not exists (
            select 1 from batches
            where
                {{ same('batches', 'held', ['dataset', 'window_start', 'window_end']) }}
                and batches.part = '' and batches.landed_at > held.landed_at and list_has_all(batches.inputs, held.inputs)
        ) as is_open
    from held
)

select * from final
