select event_date, event_type, count(*) as events, count(distinct visitor_id) as visitors
from {{ ref('clickstream') }}
group by event_date, event_type
