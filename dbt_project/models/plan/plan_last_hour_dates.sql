-- the hour before midnight is part of windows that end after midnight
{{ reached(ref('plan_event_dates'), 'event_date', 'gold_last_hour') }}
