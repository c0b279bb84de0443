-- what is known of an order at the moment it is placed; a score may look at this and at nothing else
with final as (
    select
        order_id,
        order_date,
        customer_id,
        country,
        customer_country,
        order_amount_usd,
        account_age_days,
        orders_last_day,
        earlier_orders,
        lifetime_spend_usd
    from {{ ref('silver_order_context') }}
)

select * from final
