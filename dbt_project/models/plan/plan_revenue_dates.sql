{{ reached(ref('plan_order_dates'), 'order_date', 27) }}
