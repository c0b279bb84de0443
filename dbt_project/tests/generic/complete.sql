{# These columns are never null. #}
{% test complete(model, columns) %}
select * from {{ model }} where {% for column in columns %}{{ column }} is null{{ ' or ' if not loop.last }}{% endfor %}
{% endtest %}
