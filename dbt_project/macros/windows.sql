{# Windows over time. All are half-open: an event at the end of one belongs to the next. #}

{# Tumbling: the start of the hour, day, ... that contains a time. #}
{% macro tumbling(at, unit) -%} {{ truncated(unit, at) }} {%- endmacro %}

{# Sliding: a frame of the last `length` dates or hours up to the row's own, over rows of one date or hour each. A missing date
   or hour adds nothing; it does not make the window longer. #}
{% macro sliding(by, at, length, unit) -%}
    partition by {{ by | join(', ') }} order by {{ at }} range between interval {{ length - 1 }} {{ unit }} preceding and current row
{%- endmacro %}

{# Hopping: a list of the ends of all windows of `length` minutes that contain a time, one starting every `every` minutes.
   The length is a multiple of `every`. #}
{% macro hopping(at, length, every) -%}
    {%- set hop = time_bucket(every, 'cast(' ~ at ~ ' as timestamp)') -%}
    {{ times_between(hop ~ ' + interval ' ~ every ~ ' minutes', hop ~ ' + interval ' ~ (length + every) ~ ' minutes', every) }}
{%- endmacro %}

{# Session: number each actor's sessions by the pauses between its rows. A pause of exactly the gap does not end a session.
   `place` names a column for the number of a row among its actor's, which later windows sort by in less time. #}
{% macro session_numbers(rows, by, at, tie, minutes, place=none) -%}
    select
        {{ star_without(['is_after_gap', 'place']) }}{% if place %}, place as {{ place }}{% endif %},
        {#- with `filter`, DuckDB counts each row's frame from its beginning: a million events of one visitor took eight minutes -#}
        count(case when is_after_gap then 1 end) over (partition by {{ by }} order by place rows unbounded preceding) as session_number
    from (
        select *, row_number() over by_time as place, {{ at }} - lag({{ at }}) over by_time > interval {{ minutes }} minutes as is_after_gap
        from {{ rows }}
        window by_time as (partition by {{ by }} order by {{ at }}, {{ tie }})
    )
{%- endmacro %}
