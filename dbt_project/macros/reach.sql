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

{# The sessions that begin on the dates that are made again. #}
{% macro touched_sessions() -%}
    select * from ({{ whole('silver_sessions') }})
    where session_date in ({{ literals(ref('plan_session_dates'), 'session_date') }})
{%- endmacro %}

{# The rows that only one of two sides has: what a change took away, and what it brought. #}
{% macro differing(one, other, columns='*') -%}
    (select {{ columns }} from {{ one }} except select {{ columns }} from {{ other }})
    union
    (select {{ columns }} from {{ other }} except select {{ columns }} from {{ one }})
{%- endmacro %}
