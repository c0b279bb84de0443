{% set names = ['event_id', 'event_type', 'event_time', 'visitor_id', 'customer_id', 'url', 'referrer', 'product_id', 'search_query',
    'campaign', 'order_id', 'quantity', 'unit_price', 'currency', 'country', 'user_agent'] %}

{% if var('as_lines') %}
with parsed as (
    select
        from_json(
            case when json_valid(raw) then raw end,
            '{ {%- for name in names %}"{{ name }}":"VARCHAR", {% endfor %}"properties":"JSON"}'
        ) as click
    from {{ source('raw', 'clickstream') }}
    where raw is not null
)

select click.* from parsed where click is not null
{% else %}
select {{ names | join(', ') }}, properties from {{ source('raw', 'clickstream') }} where broken_line is null
{% endif %}
