-- A session ends when a visitor does nothing for longer than the gap; a pause of exactly the gap does not end it. A visitor
-- without such a pause for more than a day is hardly a person: that session is cut at each midnight. Events are read as far as a
-- change reaches, which is enough to see whether a session is that long.
{% set columns = 'visitor_id, event_time, event_id, event_date, event_type, country, campaign, customer_id' %}
{% set kinds = ['page_view', 'click', 'search', 'ad_impression', 'add_to_cart', 'checkout', 'purchase'] %}

with wanted as (
    select visitor_id, session_date from {{ ref('plan_sessions') }}
),

visitors as (
    select distinct visitor_id from wanted
),

touched as (
    select event_date from {{ ref('plan_event_dates') }}
),

read_dates as (
    {{ looked_back(ref('plan_session_dates'), 'session_date', 'silver_sessions') }}
),

events as (
    select {{ columns }} from {{ ref('silver_clickstream') }}
    where visitor_id in (select visitor_id from visitors)
    union all
    select {{ columns }} from {{ before('silver_clickstream') }}
    where
        event_date in (select session_date from read_dates)
        and event_date not in (select event_date from touched)
        and visitor_id in (select visitor_id from visitors)
),

chained as (
    {{ session_numbers('events', 'visitor_id', 'event_time', 'event_id', var('session_gap_minutes'), place='place') }}
),

-- few rows from here on: what a session has on one date
days as (
    select
        visitor_id,
        session_number,
        event_date,
        min(event_time) as started_at,
        max(event_time) as ended_at,
        min(place) as place,
        min_by(event_id, place) as first_event_id,
        count(*) as events,
        {% for kind in kinds -%}
        count(*) filter (where {{ event_is(kind) }}) as {{ kind }}_events,
        {% endfor -%}
        {% for name in ['country', 'campaign'] -%}
        min(place) filter (where {{ name }} is not null) as {{ name }}_place,
        min_by({{ name }}, place) filter (where {{ name }} is not null) as {{ name }},
        {% endfor -%}
        min(customer_id) as least_customer_id,
        max(customer_id) as greatest_customer_id
    from chained
    group by visitor_id, session_number, event_date
),

measured as (
    select *, max(ended_at) over whole_chain - min(started_at) over whole_chain > interval '1 day' as is_cut
    from days
    window whole_chain as (partition by visitor_id, session_number)
),

sessions as (
    select
        visitor_id,
        is_cut,
        cast(min(started_at) as date) as session_date,
        min(started_at) as started_at,
        max(ended_at) as ended_at,
        min_by(first_event_id, place) as first_event_id,
        cast(sum(events) as bigint) as events,
        {% for kind in kinds -%}
        cast(sum({{ kind }}_events) as bigint) as {{ kind }}_events,
        {% endfor -%}
        min_by(country, country_place) as country,
        min_by(campaign, campaign_place) as campaign,
        case when min(least_customer_id) = max(greatest_customer_id) then min(least_customer_id) end as customer_id
    from measured
    group by visitor_id, session_number, is_cut, case when is_cut then event_date end
),

final as (
    select md5(concat_ws(' ', session_date, first_event_id, visitor_id)) as session_id, {{ star_without(['first_event_id']) }}
    from sessions
    semi join wanted using (visitor_id, session_date)
)

select * from final
