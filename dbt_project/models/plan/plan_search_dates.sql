-- a click soon after midnight belongs to a search of the date before
{{ reached(ref('plan_event_dates'), 'event_date', 'gold_search_terms') }}
