{# How far a changed date reaches: with `reach: [first, last]` in the model's YAML, a change of a date changes the model's rows
   from `first` to `last` days after it. Two zeros while dbt parses: the graph does not exist yet. #}
{% macro reach(model) %}
    {% if not execute %}{{ return([0, 0]) }}{% endif %}
    {% set days = graph.nodes['model.' ~ project_name ~ '.' ~ model].config.meta.reach %}
    {{ return([days[0] | int, days[1] | int]) }}
{% endmacro %}

{# The dates of a model whose rows may change when some dates change. #}
{% macro reached(dates, column, model) -%}
    {%- set days = reach(model) -%}
    select distinct {{ column }} + cast(days as integer) as {{ column }}
    from {{ dates }}, range({{ days[0] }}, {{ days[1] + 1 }}) as reached (days)
    where {{ column }} is not null
{%- endmacro %}

{# The dates that must be read to rebuild some dates of a model. #}
{% macro looked_back(dates, column, model) -%}
    {%- set days = reach(model) -%}
    select distinct {{ column }} - cast(days as integer) as {{ column }}
    from {{ dates }}, range({{ days[0] }}, {{ days[1] + 1 }}) as read (days)
    where {{ column }} is not null
{%- endmacro %}

{# The sessions that begin on the dates that are rebuilt. #}
{% macro touched_sessions() -%}
    select * from ({{ whole('silver_sessions') }})
    where session_date in ({{ literals(ref('plan_session_dates'), 'session_date') }})
{%- endmacro %}

{# The rows that only one of two relations has: those that a change removed, and those that it added. Not `except`, which would
   first make all rows distinct: usually one side has none. #}
{% macro differing(one, other, columns) -%}
    select {{ columns | join(', ') }} from {{ one }} as one anti join {{ other }} as other on {{ same('one', 'other', columns) }}
    union all
    select {{ columns | join(', ') }} from {{ other }} as other anti join {{ one }} as one on {{ same('one', 'other', columns) }}
{%- endmacro %}
