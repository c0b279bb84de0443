-- depends_on: {{ ref('plan_events') }}
{% set dates = literals(ref('plan_event_dates'), 'event_date') %}
{% set stale = literals("(" ~ stale_dates('clickstream') ~ " and record_date in (" ~ dates ~ "))", 'record_date') %}

with events as (
    {{ current_after('clickstream', dates, untouched='record_date in (' ~ stale ~ ')') }}
),

named as (
    select
        * replace (
            {% for name in ['customer_id', 'product_id', 'order_id', 'campaign', 'country'] -%}
            {{ empty_as_missing(name) }} as {{ name }}{{ ',' if not loop.last }}
            {% endfor -%}
        )
    from events
),

final as (
    select * exclude (record_date, batch_id, record_no), record_date as event_date, batch_id, record_no from named
)

select * from final
