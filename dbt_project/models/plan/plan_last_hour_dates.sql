-- the hour before midnight lies in windows that end after it
{{ reached(ref('plan_event_dates'), 'event_date', 1) }}
