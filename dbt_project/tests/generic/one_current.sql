{# Every key that has a record in the contest has exactly one current record. #}
{% test one_current(model, key) %}
{{ config(meta={'finding': 'these keys do not have exactly one current record. Next: clearwell ledger --recount', 'on_failure': 'stop'}) }}
select {{ key | join(', ') }}, count(*) filter (where fate = 'current') as current_records
from {{ model }}
group by {{ key | join(', ') }}
having count(*) filter (where fate = 'current') <> max(case when decision is null then 1 else 0 end)
{% endtest %}
