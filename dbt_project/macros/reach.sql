{# The dates whose rows a change of some dates reaches: a window that looks back so many days moves as many dates after it. #}
{% macro reached(dates, column, days) -%}
    select distinct {{ column }} + cast(days as integer) as {{ column }}
    from {{ dates }}, range({{ days }} + 1) as later (days)
    where {{ column }} is not null
{%- endmacro %}

{# The dates that are read to make those again. #}
{% macro looked_back(dates, column, days) -%}
    select {{ column }} - cast(days as integer) from {{ dates }}, range({{ days }} + 1) as earlier (days)
{%- endmacro %}
