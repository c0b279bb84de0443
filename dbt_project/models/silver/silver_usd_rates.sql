-- the rate of each order date: the date's own, else the last one before it, up to five days back
{% set dates = literals(ref('plan_order_dates'), 'order_date') %}

with wanted as (
    select distinct order_date, currency from {{ ref('silver_orders') }} where order_date in ({{ dates }})
),

quotes as (
    {{ current_after('exchange_rates', only=['rate_date', 'currency', 'rate']) }}
),

dollars as (
    select rate_date, rate as usd_per_euro from quotes where currency = 'USD'
),

others as (
    select rate_date, currency, rate as currency_per_euro from quotes
    union all
    select rate_date, 'EUR' as currency, 1 as currency_per_euro from dollars
),

quoted as (
    select wanted.order_date, wanted.currency, others.rate_date as usd_rate_date, dollars.usd_per_euro, others.currency_per_euro
    from wanted
    inner join others
        on wanted.currency = others.currency
        and others.rate_date between wanted.order_date - {{ var('rate_days') }} and wanted.order_date
    inner join dollars using (rate_date)
    where wanted.currency <> 'USD'
    qualify row_number() over (partition by wanted.order_date, wanted.currency order by others.rate_date desc) = 1
),

final as (
    select
        order_date,
        currency,
        usd_rate_date,
        usd_per_euro,
        currency_per_euro,
        {{ rate_from_units(divided_half_even('(' ~ in_units('usd_per_euro', 8) ~ ' * 10000000000)', in_units('currency_per_euro', 8))) }} as usd_rate
    from quoted
    union all
    select order_date, currency, order_date as usd_rate_date, 1 as usd_per_euro, 1 as currency_per_euro, 1 as usd_rate
    from wanted
    where currency = 'USD'
)

select * from final
