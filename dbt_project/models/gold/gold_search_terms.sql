{% set made = ref('plan_search_dates') %}
{% set columns = 'event_date, event_time, event_id, visitor_id, event_type, search_query' %}

with events as (
    select {{ columns }} from {{ ref('silver_clickstream') }} where {{ event_is('search') }} or {{ event_is('click') }}
    union all
    select {{ columns }} from {{ before('silver_clickstream') }}
    where
        ({{ event_is('search') }} or {{ event_is('click') }})
        and event_date in ({{ looked_back(made, 'event_date', 'gold_search_terms') }})
        and event_date not in (select event_date from {{ ref('plan_event_dates') }})
),

followed as (
    select
        *,
        -- a click before the visitor searches again, and before the session ends
        lead({{ event_is('click') }}) over by_time
        and (lead(event_time) over by_time) - event_time <= interval '{{ var("session_gap_minutes") }} minutes' as is_clicked
    from events
    window by_time as (partition by visitor_id order by event_time, event_id)
),

searches as (
    select
        event_date,
        lower(trim({{ regexp_replace_all(nfc_normalize('search_query'), "'\\s+'", "' '") }})) as term,
        visitor_id,
        coalesce(is_clicked, false) as is_clicked
    from followed
    where {{ event_is('search') }}
),

counted as (
    select
        event_date,
        term,
        count(*) as searches,
        count(distinct visitor_id) as visitors,
        count(*) filter (where is_clicked) as clicked_searches
    from searches
    where term <> '' and event_date in (select event_date from {{ made }})
    group by event_date, term
),

final as (
    select
        *,
        cast({{ from_units(divided_half_even('(' ~ as_hugeint('clicked_searches') ~ ' * 10000)', 'searches')) }} as decimal(18, 4)) as click_rate
    from counted
)

select * from final
