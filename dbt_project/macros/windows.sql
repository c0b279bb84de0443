{# Windows over time. All are half-open: what happens at the end of one belongs to the next. #}

{# Tumbling: the start of the hour, day, ... that a time lies in. #}
{% macro tumbling(at, unit) -%} date_trunc('{{ unit }}', {{ at }}) {%- endmacro %}

{# Sliding: the frame of the last so many dates or hours up to a row's own, over rows that are one date or hour each. Those
   without a row are nothing, not a longer window. #}
{% macro sliding(by, at, length, unit) -%}
    partition by {{ by | join(', ') }} order by {{ at }} range between interval {{ length - 1 }} {{ unit }} preceding and current row
{%- endmacro %}

{# Hopping: the ends of all the windows of so many minutes that a time lies in, one beginning every so many minutes; to be
   unnested. The length is a whole number of hops. #}
{% macro hopping(at, length, every) -%}
    {%- set hop = "time_bucket(interval " ~ every ~ " minutes, cast(" ~ at ~ " as timestamp), timestamp '2000-01-01')" -%}
    range({{ hop }} + interval {{ every }} minutes, {{ hop }} + interval {{ length + every }} minutes, interval {{ every }} minutes)
{%- endmacro %}

{# Session: number the rows of each actor by the pauses before them. A pause of exactly the gap does not end a session. #}
{% macro session_numbers(rows, by, at, tie, minutes) -%}
    select
        * exclude (is_after_gap),
        count(*) filter (where is_after_gap) over (partition by {{ by }} order by {{ at }}, {{ tie }} rows unbounded preceding) as session_number
    from (
        select *, {{ at }} - lag({{ at }}) over (partition by {{ by }} order by {{ at }}, {{ tie }}) > interval {{ minutes }} minutes as is_after_gap
        from {{ rows }}
    )
{%- endmacro %}
