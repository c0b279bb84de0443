-- depends_on: {{ ref('plan_keys_decisions') }} {{ ref('plan_batches') }} {{ ref('plan_measured') }}
-- numbers that differ from what is usual for their day or hour of the week: see macros/unusual.sql
with batches as (
    select distinct dataset, window_start, window_end from ({{ whole('ops_batches') }}) where source not in ('decisions', 'corrections')
),

ends as (
    select dataset, max(window_end) as latest_end from batches group by dataset
),

-- days of which something has landed. The latest one may not be over: what was sent in one hour may land with the next
covered as (
    select distinct
        batches.dataset,
        cast(day as date) as record_date,
        case when day + interval 1 day <= latest_end then day + interval 1 day else latest_end - interval 1 hour end as known_until
    from batches
    inner join ends using (dataset)
    cross join unnest(range(date_trunc('day', window_start), window_end, interval 1 day)) as days (day)
),

measures as (
    {{ whole('ops_measures') }}
),

unusual as (
    {{ unusual('measures', ref('plan_judged'), 'covered') }}
),

named as (
    select
        subject || ':' || measure || ':' || period || ':' || left(strftime(period_start, '%Y-%m-%dT%H'), case period when 'hour' then 13 else 10 end) as anomaly,
        *
    from unusual
),

accepted as (
    select target_dataset as dataset, target_batch_id as anomaly, max_by(reason, decided_at) as reason
    from ({{ whole('records_decisions') }})
    where fate = 'current' and subject = 'anomaly' and action = 'accept'
    group by all
),

final as (
    select
        named.anomaly, named.dataset, named.subject, named.measure, named.kind, named.period, named.period_start,
        named.value, named.expected, named.spread, named.score, named.base, named.is_alert,
        accepted.anomaly is not null as is_accepted,
        accepted.reason as accepted_because
    from named
    left join accepted using (dataset, anomaly)
)

select * from final
