{# The kinds of a value's characters, such as aaa-999: for findings about values that may be personal data. #}
{% macro kinds_of_characters(column) -%}
regexp_replace(regexp_replace(left(cast({{ column }} as varchar), 40), '\p{N}', '9', 'g'), '\p{L}', 'a', 'g')
{%- endmacro %}
