-- a changed date reaches as far as the longest mean; the sales of the dates after it come from the state
{% set measures = revenue_columns() %}

with sold as (
    select order_date, country, currency, {{ measures }} from {{ ref('silver_daily_sales') }}
    union all
    select order_date, country, currency, {{ measures }}
    from {{ before('gold_daily_revenue') }}
    where
        order_date in ({{ looked_back(ref('plan_revenue_dates'), 'order_date', 'gold_daily_revenue') }})
        and order_date not in (select order_date from {{ ref('plan_order_dates') }} where order_date is not null)
),

final as (
    select
        order_date,
        country,
        currency,
        {{ measures }},
        {{ moving_mean('net_amount', ['country', 'currency'], 'order_date', 7, 'day') }} as net_amount_7_days,
        {{ moving_mean('net_amount', ['country', 'currency'], 'order_date', 28, 'day') }} as net_amount_28_days
    from sold
)

select * from final
where order_date in (select order_date from {{ ref('plan_revenue_dates') }})
