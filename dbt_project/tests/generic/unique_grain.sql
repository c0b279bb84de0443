{# The columns of the grain identify a row. #}
{% test unique_grain(model, columns) %}
{{ config(meta={'finding': 'several rows have the same grain.'}) }}
select {{ columns | join(', ') }}, count(*) as copies
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
