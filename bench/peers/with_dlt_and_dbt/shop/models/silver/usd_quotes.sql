-- Per date and currency of an order, the two quotes of a euro that turn its amounts to dollars: the last ones of five days.
with quotes as (
    select cast(rate_date as date) as rate_date, currency, cast(cast({{ to_decimal('rate', 8) }} as decimal(38, 8)) * 100000000 as bigint) as units
    from {{ source('raw', 'exchange_rates') }}
    where
        try_cast(rate_date as date) <= timestamp '{{ var("latest") }}'
        and currency <> ''
        and {{ to_decimal('rate', 8) }} between 0.000001 and 10000000
    qualify row_number() over (partition by rate_date, currency order by try_cast(updated_at as timestamptz) desc nulls last, rate desc) = 1
),

dollars as (
    select rate_date, units as usd_quote from quotes where currency = 'USD'
),

others as (
    select rate_date, currency, units as quote from quotes
    union all
    select rate_date, 'EUR', 100000000 from dollars
),

pairs as (
    select rate_date, currency, usd_quote, quote from others inner join dollars using (rate_date)
),

wanted as (
    select distinct order_date, currency from {{ ref('orders') }}
)

select wanted.order_date, wanted.currency, pairs.usd_quote, pairs.quote
from wanted
asof inner join pairs on wanted.currency = pairs.currency and wanted.order_date >= pairs.rate_date
where wanted.currency <> 'USD' and pairs.rate_date >= wanted.order_date - 5
union all
select order_date, currency, 1, 1 from wanted where currency = 'USD'
