{# Codes have the shape of their standard: an odd one is somebody's mistake, though no reason to lose the row. #}
{% test is_a_code(model, column, pattern) %}
{{ config(meta={'finding': 'these codes do not have the form of their standard. Next: correct them at the source'}) }}
select {{ column }}, count(*) as odd_rows
from {{ model }}
where not regexp_full_match({{ column }}, '{{ pattern }}')
group by {{ column }}
{% endtest %}
