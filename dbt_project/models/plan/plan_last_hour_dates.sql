-- the hour before midnight lies in windows that end after it
{{ reached(ref('plan_event_dates'), 'event_date', 'gold_last_hour') }}
