with counted as (
    select
        session_date,
        coalesce(country, 'ZZ') as country,
        coalesce(campaign, '') as campaign,
        count(*) as sessions,
        count(*) filter (where page_view_events > 0) as view_sessions,
        count(*) filter (where add_to_cart_events > 0) as cart_sessions,
        count(*) filter (where checkout_events > 0) as checkout_sessions,
        count(*) filter (where purchase_events > 0) as purchase_sessions
    from {{ ref('sessions') }}
    group by session_date, coalesce(country, 'ZZ'), coalesce(campaign, '')
)

select *, {{ ratio('purchase_sessions', 'sessions') }} as conversion_rate from counted
