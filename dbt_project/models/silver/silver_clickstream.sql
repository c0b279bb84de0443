-- depends_on: {{ ref('plan_event_dates') }}
{% set values = {} %}
{% for name in ['customer_id', 'product_id', 'order_id', 'campaign', 'country'] %}{% do values.update({name: empty_as_missing(name)}) %}{% endfor %}

with events as (
    {{ current_in_view('clickstream', literals(ref('plan_event_dates'), 'event_date')) }}
),

final as (
    select
        {% for name in column_names('clickstream') %}{{ values.get(name, name) }} as {{ name }}, {% endfor %}
        record_date as event_date, batch_id, record_no
    from events
)

select * from final
