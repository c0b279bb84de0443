-- The visitors whose first appearance as a customer on some date has changed, and the earliest time of such a change.
{% set dates = literals(ref('plan_event_dates'), 'event_date') %}
{% set columns = ['event_date', 'visitor_id', 'customer_id', 'first_seen_at', 'last_seen_at'] %}

with logins as (
    select {{ columns | join(', ') }} from {{ ref('silver_daily_logins') }}
),

logins_before as (
    select {{ columns | join(', ') }} from {{ before('silver_daily_logins') }}
    where event_date in ({{ dates }})
),

changed as (
    {{ differing('logins', 'logins_before', columns) }}
),

final as (
    select visitor_id, min(first_seen_at) as changed_at from changed group by visitor_id
)

select * from final
