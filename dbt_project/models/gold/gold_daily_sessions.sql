-- depends_on: {{ ref('silver_sessions') }} {{ ref('plan_sessions') }} {{ ref('plan_session_dates') }}
with sessions as (
    select *, {{ date_diff('microsecond', 'started_at', 'ended_at') }} as microseconds from ({{ touched_sessions() }})
),

final as (
    select
        session_date,
        coalesce(country, 'ZZ') as country,
        count(*) as sessions,
        count(distinct visitor_id) as visitors,
        cast(sum(events) as bigint) as events,
        count(*) filter (where events = 1) as bounces,
        count(*) filter (where is_cut) as cut_sessions,
        cast({{ integer_quotient('sum(microseconds)', '1000000') }} as bigint) as total_seconds
    from sessions
    group by session_date, coalesce(country, 'ZZ')
)

select * from final
