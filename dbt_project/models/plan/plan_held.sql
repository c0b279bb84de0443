-- depends_on: {{ ref('plan_keys_decisions') }}
-- The circuit breaker: so many refusals at once are an incident upstream, not dirt. Who accepts one accepts those held with it.
with counted as (
    {% for dataset in ruled_datasets() -%}
    {% set breaker = contract(dataset).meta.get('breaker', {}) %}
    select
        '{{ dataset }}' as dataset, batch_id, count(reasons) as refused_records,
        count(reasons) >= {{ breaker.get('records', 100) }} and count(reasons) > {{ breaker.get('share', 0.01) }} * count(*) as is_broken
    from {{ ref('staging_' ~ dataset) }}
    group by batch_id
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

accepted as (
    select target_batch_id from ({{ whole('records_decisions') }}) where fate = 'current' and action = 'accept'
),

broken as (
    select * from counted where is_broken and batch_id not in (select target_batch_id from accepted)
),

-- lines without their orders, or orders without their lines, would be half the truth
wholes as (
    {% for dataset in ruled_datasets() -%}
    select '{{ dataset }}' as dataset, '{{ contract(dataset).meta.get('part_of', dataset) }}' as whole
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

batches as (
    select batches.*, coalesce(batches.snapshot_id, batches.batch_id) || wholes.whole as held_with
    from {{ ref('plan_batches') }} as batches
    inner join wholes using (dataset)
    where is_entering
),

breaking as (
    select held_with, min(batch_id) as broken_batch_id
    from batches
    inner join broken using (dataset, batch_id)
    group by held_with
),

final as (
    select
        batches.dataset, batches.batch_id, batches.window_start, batches.window_end, batches.window_date, batches.is_leaving,
        coalesce(counted.refused_records, 0) as refused_records,
        batches.records_written as records,
        breaking.broken_batch_id
    from batches
    inner join breaking using (held_with)
    left join counted using (dataset, batch_id)
)

select * from final
