-- depends_on: {{ ref('silver_sessions') }} {{ ref('plan_sessions') }} {{ ref('plan_session_dates') }}
with sessions as (
    {{ touched_sessions() }}
),

counted as (
    select
        session_date,
        coalesce(country, 'ZZ') as country,
        coalesce(campaign, '') as campaign,
        count(*) as sessions,
        count(*) filter (where page_view_events > 0) as view_sessions,
        count(*) filter (where add_to_cart_events > 0) as cart_sessions,
        count(*) filter (where checkout_events > 0) as checkout_sessions,
        count(*) filter (where purchase_events > 0) as purchase_sessions
    from sessions
    group by session_date, coalesce(country, 'ZZ'), coalesce(campaign, '')
),

final as (
    select
        *,
        cast({{ from_units(divided_half_even('(' ~ as_hugeint('purchase_sessions') ~ ' * 10000)', 'sessions')) }} as decimal(18, 4)) as conversion_rate
    from counted
)

select * from final
