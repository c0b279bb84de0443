{{ reached(ref('plan_order_dates'), 'order_date', 'gold_daily_revenue') }}
