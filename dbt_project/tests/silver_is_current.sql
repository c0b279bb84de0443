-- On each touched date silver has as many rows as there are current records, those that the build leaves as they are included.
{{ config(severity='error', meta={'finding': 'silver does not have the current records of a date. Next: clearwell ledger --recount names the rows; clearwell build --from DATE --to DATE --reason TEXT makes them again', 'on_failure': 'stop'}) }}
with rows_and_records as (
    {% for dataset, date, plan in [('clickstream', 'event_date', 'plan_event_dates'), ('orders', 'order_date', 'plan_order_dates')] -%}
    {% set dates = 'select ' ~ date ~ ' from ' ~ ref(plan) %}
    select '{{ dataset }}' as dataset, record_date, 1 as records, 0 as silver_rows
    from ({{ current_after(dataset, dates, only=['record_date']) }})
    union all
    select '{{ dataset }}' as dataset, {{ date }} as record_date, 0 as records, 1 as silver_rows
    from {{ ref('silver_' ~ dataset) }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select dataset, record_date, sum(records) as records, sum(silver_rows) as silver_rows
from rows_and_records
group by dataset, record_date
having sum(records) <> sum(silver_rows)
