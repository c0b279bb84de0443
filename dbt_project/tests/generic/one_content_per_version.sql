{# Two records of one version with different content: the source gave two answers to one question. #}
{% test one_content_per_version(model, key) %}
select {{ key | join(', ') }}, count(*) as contents
from {{ model }}
where fate in ('current', 'superseded') and decision is null and not is_deleted
group by {{ key | join(', ') }}
having count(*) > 1
{% endtest %}
