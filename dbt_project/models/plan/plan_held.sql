-- depends_on: {{ ref('plan_keys_decisions') }}
-- Batches that wait for a person: those of the circuit breaker, and those that this build's audit holds. Too many refusals to be
-- chance are an incident upstream, not dirt. They are counted for each batch, and for all records of a day.
with accepted as (
    select target_batch_id from ({{ whole('records_decisions') }}) where fate = 'current' and action = 'accept' and subject = 'hold'
),

counted as (
    {% for dataset in ruled_datasets() -%}
    select '{{ dataset }}' as dataset, batch_id, count(reasons) as refused_records, count(*) as records
    from {{ ref('staging_' ~ dataset) }}
    where coalesce({{ list_item('reasons', 1) }}, '') not in ('retracted', 'forgotten', 'not_selected')
    group by batch_id
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

entering as (
    select batches.dataset, batches.batch_id, batches.window_date, counted.refused_records, counted.records
    from {{ ref('plan_batches') }} as batches
    inner join counted using (dataset, batch_id)
    where batches.is_entering
),

-- the state's records of the same days
standing as (
    select
        batches.dataset, batches.window_date,
        coalesce(sum(ledger.records) filter (where ledger.fate = 'dead_letter'), 0) as refused_records,
        coalesce(sum(ledger.records), 0) as records
    from {{ before('ops_batches') }} as batches
    inner join {{ before('ops_ledger') }} as ledger using (dataset, batch_id)
    where
        batches.window_date in ({{ literals(ref('plan_batches'), 'window_date') }})
        and batches.batch_id not in (select batch_id from {{ ref('plan_batches') }})
        and batches.batch_id not in (select target_batch_id from accepted)
    group by batches.dataset, batches.window_date
),

-- published batches: they are not held because of other batches of their day
{% set previous = relation_in('previous', 'ops', 'batches') if execute else none -%}
given as (
    select batch_id from {{ ref('plan_batches') }} where is_leaving
    {%- if previous is not none %}
    union all
    select batch_id from {{ previous }}
    {%- endif %}
),

days as (
    select dataset, window_date, sum(refused_records) as refused_records, sum(records) as records
    from (
        select dataset, window_date, refused_records, records from entering
        where batch_id not in (select target_batch_id from accepted)
        union all
        select * from standing
    )
    group by dataset, window_date
),

shares (dataset, share) as (
    values
    {% for dataset in ruled_datasets() -%}
    ('{{ dataset }}', cast({{ contract(dataset).meta.get('breaker', {}).get('share', 0.01) }} as double)){{ ',' if not loop.last }}
    {% endfor -%}
),

refusing as (
    select entering.dataset, entering.batch_id, 'refused_records' as cause
    from entering
    inner join days using (dataset, window_date)
    inner join shares using (dataset)
    where
        {{ is_beyond_chance('entering.refused_records', 'entering.records', 'shares.share') }}
        or (
            {{ is_beyond_chance('days.refused_records', 'days.records', 'shares.share') }}
            and entering.refused_records > shares.share * entering.records
            and entering.batch_id not in (select batch_id from given)
        )
),

audited (dataset, batch_id, cause) as (
    select cast(null as string), cast(null as string), cast(null as string) where false
    {%- for batch_id, cause in var('held').items() %}
    union all
    select dataset, batch_id, '{{ cause }}' from {{ ref('plan_batches') }} where batch_id = '{{ batch_id }}' and is_entering
    {%- endfor %}
),

broken as (
    select dataset, batch_id, min(cause) as cause
    from (
        select * from refusing
        union all
        select * from audited
    )
    where batch_id not in (select target_batch_id from accepted)
    group by dataset, batch_id
),

-- lines must not enter without their orders, or orders without their lines
wholes as (
    {% for dataset in ruled_datasets() -%}
    select '{{ dataset }}' as dataset, '{{ contract(dataset).meta.get('part_of', dataset) }}' as whole
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

-- a batch that did not change between two snapshots is in both, and enters with either
members as (
    select distinct
        snapshots.snapshot_id || wholes.whole as held_with,
        batches.dataset,
        batches.batch_id
    from (
        select coalesce(snapshot_id, batch_id) as snapshot_id, {{ unnested(list_append('snapshot_batches', 'batch_id')) }} as batch_id
        from {{ ref('plan_batches') }}
        where is_entering
    ) as snapshots
    inner join {{ ref('plan_batches') }} as batches on snapshots.batch_id = batches.batch_id and batches.is_entering
    inner join wholes using (dataset)
),

breaking as (
    select members.held_with, min_by(broken.batch_id, broken.batch_id) as broken_batch_id, min_by(broken.cause, broken.batch_id) as cause
    from members
    inner join broken using (dataset, batch_id)
    group by members.held_with
),

glued as (
    select
        members.dataset, members.batch_id,
        bool_and(breaking.held_with is not null) as is_held,
        min(breaking.broken_batch_id) as broken_batch_id,
        min_by(breaking.cause, breaking.broken_batch_id) as cause
    from members
    left join breaking using (held_with)
    group by members.dataset, members.batch_id
),

final as (
    select
        batches.dataset, batches.batch_id, batches.window_start, batches.window_end, batches.window_date, batches.landed_at,
        batches.inputs,
        coalesce(counted.refused_records, 0) as refused_records,
        batches.records_written as records,
        coalesce(broken.batch_id, glued.broken_batch_id) as broken_batch_id,
        coalesce(broken.cause, glued.cause) as cause,
        batches.batch_id in (select batch_id from given) and counted.batch_id is not null as is_given
    from {{ ref('plan_batches') }} as batches
    inner join glued using (dataset, batch_id)
    left join broken using (dataset, batch_id)
    left join counted using (dataset, batch_id)
    where batches.is_entering and (broken.batch_id is not null or glued.is_held)
)

select * from final
