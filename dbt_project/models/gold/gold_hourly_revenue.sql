-- a changed date reaches as far as the longest mean; the sales of the hours after it come from the state
{% set measures = revenue_columns() %}

with lines as (
    select *, {{ tumbling('ordered_at', 'hour') }} as order_hour from {{ ref('silver_order_items') }} where is_counted
),

sold as (
    select
        order_hour,
        country,
        currency,
        {{ revenue_measures() }}
    from lines
    group by order_hour, country, currency
    union all
    select order_hour, country, currency, {{ measures }}
    from {{ before('gold_hourly_revenue') }}
    where
        cast(order_hour as date) in ({{ looked_back(ref('plan_revenue_hours'), 'order_date', 'gold_hourly_revenue') }})
        and cast(order_hour as date) not in (select order_date from {{ ref('plan_order_dates') }} where order_date is not null)
),

final as (
    select
        order_hour,
        country,
        currency,
        {{ measures }},
        {{ moving_mean('net_amount', ['country', 'currency'], 'order_hour', 24, 'hour') }} as net_amount_24_hours,
        {{ moving_mean('net_amount', ['country', 'currency'], 'order_hour', 168, 'hour') }} as net_amount_7_days
    from sold
)

select * from final
where cast(order_hour as date) in (select order_date from {{ ref('plan_revenue_hours') }})
