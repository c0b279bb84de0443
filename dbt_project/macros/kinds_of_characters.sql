{# The kinds of a value's characters, such as aaa-999: for findings about values that may be personal data. #}
{% macro kinds_of_characters(column) -%}
regexp_replace(regexp_replace(left(cast({{ column }} as varchar), 40), '\p{N}', '9', 'g'), '\p{L}', 'a', 'g')
{%- endmacro %}

{# A code of three letters, or the kinds of the characters of a text in its place, which may be a name: for findings. #}
{% macro code_or_kinds(column) -%}
case when regexp_full_match({{ column }}, '[A-Z]{3}') then {{ column }} else {{ kinds_of_characters(column) }} end
{%- endmacro %}
