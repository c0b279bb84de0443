{# What came later than its contract allows got in all the same, and changed published numbers by this much. #}
{% test late_restatements(model) %}
select gold_table, gold_date, measure, sum(difference) as moved, any_value(batch_ids) as batch_ids
from {{ model }}
where is_late
group by gold_table, gold_date, measure
{% endtest %}
