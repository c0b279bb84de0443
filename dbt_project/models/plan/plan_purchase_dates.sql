-- a touch counts for the purchases of the days after it
{{ reached(ref('plan_event_dates'), 'event_date', 'silver_purchases') }}
