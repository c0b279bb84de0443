-- depends_on: {{ ref('plan_event_dates') }} {{ ref('plan_purchase_dates') }} {{ ref('plan_contexts') }}
{% set dates = literals(ref('plan_campaign_dates'), 'event_date') %}

with touched as (
    select
        event_date,
        campaign,
        count(*) filter (where {{ event_is('ad_impression') }}) as ad_impressions,
        count(*) filter (where {{ event_is('click') }}) as clicks,
        count(distinct visitor_id) as visitors
    from ({{ whole('silver_campaign_touches') }})
    where event_date in ({{ dates }})
    group by event_date, campaign
),

purchases as (
    select * from ({{ whole('silver_purchases') }})
),

bought_on as (
    select order_id from purchases where event_date in ({{ dates }})
),

-- an order with several purchase events counts for the first one
first_purchases as (
    select * from purchases
    where order_id in (select order_id from bought_on)
    qualify row_number() over (partition by order_id order by purchased_at, event_id) = 1
),

orders as (
    select order_id, order_amount_usd, is_usd_missing from ({{ whole('silver_order_context') }})
    where is_counted and is_an_order is not false and order_id in (select order_id from first_purchases)
),

sold as (
    select
        first_purchases.event_date,
        coalesce(first_purchases.campaign, '') as campaign,
        count(*) as orders,
        sum(orders.order_amount_usd) as net_usd,
        count(*) filter (where orders.is_usd_missing) as orders_without_usd
    from first_purchases
    inner join orders on first_purchases.order_id = orders.order_id
    where first_purchases.event_date in ({{ dates }})
    group by first_purchases.event_date, coalesce(first_purchases.campaign, '')
),

final as (
    select
        event_date,
        campaign,
        coalesce(touched.ad_impressions, 0) as ad_impressions,
        coalesce(touched.clicks, 0) as clicks,
        coalesce(touched.visitors, 0) as visitors,
        coalesce(sold.orders, 0) as orders,
        cast(coalesce(sold.net_usd, 0) as decimal(38, 4)) as net_usd,
        coalesce(sold.orders_without_usd, 0) as orders_without_usd
    from touched
    full join sold using (event_date, campaign)
)

select * from final
