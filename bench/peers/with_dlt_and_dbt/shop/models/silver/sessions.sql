-- A session ends after 30 minutes without an event. One that lasts for more than a day is cut at each midnight.
with gaps as (
    select
        visitor_id, event_time, event_id, event_date, event_type, country, campaign, customer_id,
        coalesce(event_time - lag(event_time) over (partition by visitor_id order by event_time, event_id) > interval 30 minutes, false) as is_after_gap
    from {{ ref('clickstream') }}
),

numbered as (
    select
        *,
        count(*) filter (where is_after_gap) over (
            partition by visitor_id order by event_time, event_id rows unbounded preceding
        ) as number
    from gaps
),

measured as (
    select
        *,
        max(event_time) over (partition by visitor_id, number) - min(event_time) over (partition by visitor_id, number) > interval 1 day as is_cut
    from numbered
)

select
    visitor_id,
    is_cut,
    cast(min(event_time) as date) as session_date,
    min(event_time) as started_at,
    max(event_time) as ended_at,
    count(*) as events,
    {% for kind in var('event_types') -%}
    count(*) filter (where event_type = '{{ kind }}') as {{ kind }}_events,
    {% endfor -%}
    min_by(country, {'time': event_time, 'id': event_id}) filter (where country is not null) as country,
    min_by(campaign, {'time': event_time, 'id': event_id}) filter (where campaign is not null) as campaign,
    case when min(customer_id) = max(customer_id) then min(customer_id) end as customer_id
from measured
group by visitor_id, number, is_cut, case when is_cut then event_date end
