select
    session_date,
    coalesce(country, 'ZZ') as country,
    count(*) as sessions,
    count(distinct visitor_id) as visitors,
    cast(sum(events) as bigint) as events,
    count(*) filter (where events = 1) as bounces,
    count(*) filter (where is_cut) as cut_sessions,
    cast(sum(date_diff('microsecond', started_at, ended_at)) // 1000000 as bigint) as total_seconds
from {{ ref('sessions') }}
group by session_date, coalesce(country, 'ZZ')
