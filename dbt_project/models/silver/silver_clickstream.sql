-- depends_on: {{ ref('plan_events') }}
{% set dates = literals(ref('plan_event_dates'), 'event_date') %}
{% set stale = literals("(" ~ stale_dates('clickstream') ~ " and record_date in (" ~ dates ~ "))", 'record_date') %}
{% set named = {} %}
{% for name in ['customer_id', 'product_id', 'order_id', 'campaign', 'country'] %}{% do named.update({name: empty_as_missing(name)}) %}{% endfor %}

with events as (
    {{ current_after('clickstream', dates, untouched='record_date in (' ~ stale ~ ')') }}
),

named as (
    select {{ star_replacing(named) }}
    from events
),

final as (
    select {{ star_without(['record_date', 'batch_id', 'record_no']) }}, record_date as event_date, batch_id, record_no from named
)

select * from final
