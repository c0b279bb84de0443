{# Two records of one version with different content: the source gave two answers to one question. #}
{% test one_content_per_version(model, key) %}
{{ config(meta={'finding': 'several records have the same key and version but different content; the contest chose one. Next: make the source change the version with each change'}) }}
select {{ key | join(', ') }}, count(*) as contents
from {{ model }}
where fate in ('current', 'superseded') and decision is null and not is_deleted
group by {{ key | join(', ') }}
having count(*) > 1
{% endtest %}
