with typed as (
    select
        * replace (
            {{ to_utc('event_time') }} as event_time,
            {{ to_bigint('quantity') }} as quantity,
            {{ to_decimal('unit_price') }} as unit_price,
            nullif(customer_id, '') as customer_id,
            nullif(product_id, '') as product_id,
            nullif(order_id, '') as order_id,
            nullif(campaign, '') as campaign,
            nullif(country, '') as country
        ),
        quantity is not null as has_quantity,
        unit_price is not null as has_price
    from {{ ref('staging_clickstream') }}
),

valid as (
    select * exclude (has_quantity, has_price), cast(event_time as date) as event_date
    from typed
    where
        event_id <> ''
        and event_type in ('{{ var("event_types") | join("', '") }}')
        and visitor_id <> ''
        and event_time <= timestamp '{{ var("latest") }}'
        and (not has_quantity or quantity <> 0)
        and (not has_price or unit_price is not null)
)

select * from valid
qualify row_number() over (partition by event_id, event_date order by event_time, url) = 1
