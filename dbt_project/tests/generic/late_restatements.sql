{# What came later than its contract allows got in all the same, and changed published numbers by this much. #}
{% test late_restatements(model) %}
{{ config(meta={'finding': 'records that arrived after the contract\'s lateness changed published numbers. Next: raise `lateness` in the contract, if this is usual'}) }}
select gold_table, gold_date, measure, sum(difference) as moved, any_value(batch_ids) as batch_ids
from {{ model }}
where is_late
group by gold_table, gold_date, measure
{% endtest %}
