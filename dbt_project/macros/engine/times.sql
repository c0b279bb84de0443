{# Dates and times. Timestamps are in UTC and have no zone. #}

{# A timestamp with a zone as one in UTC. #}
{% macro in_utc_of(at) %}{{ return(adapter.dispatch('in_utc_of')(at)) }}{% endmacro %}
{% macro duckdb__in_utc_of(at) %}{{ return(at ~ " at time zone 'UTC'") }}{% endmacro %}
{% macro spark__in_utc_of(at) %}{{ return('cast(' ~ at ~ ' as timestamp_ntz)') }}{% endmacro %}

{# A time of a clock in a time zone as UTC. A time that the clock shows twice is the later one. #}
{% macro in_utc(at, zone) %}{{ return(adapter.dispatch('in_utc')(at, zone)) }}{% endmacro %}
{% macro duckdb__in_utc(at, zone) %}{{ return(at ~ ' at time zone ' ~ literal(zone) ~ " at time zone 'UTC'") }}{% endmacro %}
{# Spark takes the earlier one. The later is that of the time an hour on, an hour back, if both are the same hour of the clock. #}
{% macro spark__in_utc(at, zone) %}
    {% set clock, earlier = literal(zone), 'to_utc_timestamp(' ~ at ~ ', ' ~ literal(zone) ~ ')' %}
    {% set later = earlier ~ ' + interval 1 hour' %}
    {{ return('cast(case when from_utc_timestamp(' ~ later ~ ', ' ~ clock ~ ') = ' ~ at ~ ' then ' ~ later ~ ' else ' ~ earlier ~ ' end as timestamp_ntz)') }}
{% endmacro %}

{# A text that may end with an offset from UTC, as a timestamp in UTC; null if it is none. #}
{% macro timestamp_of(text) %}{{ return(adapter.dispatch('timestamp_of')(text)) }}{% endmacro %}
{# DuckDB reads an offset only after seconds. In UTC, reading costs half. #}
{% macro duckdb__timestamp_of(text) -%}
                case
                    when suffix({{ text }}, 'Z') and strlen({{ text }}) > 19 then try_cast({{ text }} as timestamp)
                    else try_cast(case when substr({{ text }}, 17, 1) in ('Z', '+', '-') then left({{ text }}, 16) || ':00' || substr({{ text }}, 17) else {{ text }} end as timestamptz) at time zone 'UTC'
                end
{%- endmacro %}
{# Spark too, and it knows no 24:00, the end of a day. #}
{% macro spark__timestamp_of(text) %}
    {% set whole = "case when substr(" ~ text ~ ", 17, 1) in ('Z', '+', '-') then left(" ~ text ~ ", 16) || ':00' || substr(" ~ text ~ ", 17) else " ~ text ~ " end" %}
    {% set next_day = "case when regexp_like(substr(" ~ text ~ ", 12), '^24:00(:00([.]0+)?)?([Z+-]|$)')" %}
    {{ return('cast(' ~ next_day ~ " then try_cast(left(" ~ text ~ ", 11) || '00' || substr(" ~ whole ~ ', 14) as timestamp_ltz) + interval 1 day else try_cast(' ~ whole ~ ' as timestamp_ltz) end as timestamp_ntz)') }}
{% endmacro %}

{# The start of the hour, day, ... that contains a time. #}
{% macro truncated(unit, at) %}{{ return(adapter.dispatch('truncated')(unit, at)) }}{% endmacro %}
{% macro duckdb__truncated(unit, at) %}{{ return("date_trunc('" ~ unit ~ "', " ~ at ~ ")") }}{% endmacro %}
{% macro spark__truncated(unit, at) %}{{ return("cast(date_trunc('" ~ unit ~ "', " ~ at ~ ") as timestamp_ntz)") }}{% endmacro %}

{# The start of the window of so many minutes that contains a time; one starts with the year 2000. #}
{% macro time_bucket(minutes, at) %}{{ return(adapter.dispatch('time_bucket')(minutes, at)) }}{% endmacro %}
{% macro duckdb__time_bucket(minutes, at) %}{{ return('time_bucket(interval ' ~ minutes ~ ' minutes, ' ~ at ~ ", timestamp '2000-01-01')") }}{% endmacro %}
{% macro spark__time_bucket(minutes, at) %}
    {% set since = "timestampdiff(microsecond, timestamp_ntz '2000-01-01 00:00:00', " ~ at ~ ')' %}
    {{ return('timestampadd(microsecond, -pmod(' ~ since ~ ', cast(' ~ minutes * 60000000 ~ ' as bigint)), ' ~ at ~ ')') }}
{% endmacro %}

{# The times from a first one to an end, not included, as a list: one every so many minutes. #}
{% macro times_between(first, end, minutes) %}{{ return(adapter.dispatch('times_between')(first, end, minutes)) }}{% endmacro %}
{% macro duckdb__times_between(first, end, minutes) %}{{ return('range(' ~ first ~ ', ' ~ end ~ ', interval ' ~ minutes ~ ' minutes)') }}{% endmacro %}
{% macro spark__times_between(first, end, minutes) %}
    {% set last = 'timestampadd(microsecond, -1, cast(' ~ end ~ ' as timestamp_ntz))' %}
    {{ return('case when ' ~ first ~ ' < ' ~ end ~ ' then sequence(cast(' ~ first ~ ' as timestamp_ntz), ' ~ last ~ ', interval ' ~ minutes ~ ' minutes) end') }}
{% endmacro %}

{# The days, months, ... that begin after one date or time, up to another. Spark counts whole ones: months are those of first days. #}
{% macro date_diff(unit, first, last) %}{{ return(adapter.dispatch('date_diff')(unit, first, last)) }}{% endmacro %}
{% macro duckdb__date_diff(unit, first, last) %}{{ return("date_diff('" ~ unit ~ "', " ~ first ~ ', ' ~ last ~ ')') }}{% endmacro %}
{% macro spark__date_diff(unit, first, last) %}{{ return('timestampdiff(' ~ unit ~ ', ' ~ first ~ ', ' ~ last ~ ')') }}{% endmacro %}
