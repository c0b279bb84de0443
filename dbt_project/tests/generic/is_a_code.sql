{# Codes have the form of their standard: an odd one is somebody's mistake, though no reason to lose the row. Anything may have been
   typed there, a name as well: of a longer text than a code, only the kinds of characters are told. #}
{% test is_a_code(model, column, pattern) %}
{{ config(meta={'finding': 'these codes do not have the form of their standard. Next: correct them at the source'}) }}
select case when length({{ column }}) <= 3 then {{ column }} else {{ kinds_of_characters(column) }} end as {{ column }}, count(*) as odd_rows
from {{ model }}
where not regexp_full_match({{ column }}, '{{ pattern }}')
group by all
{% endtest %}
