{# Dates and times. Timestamps are in UTC and have no zone. #}

{# A timestamp with a zone as one in UTC. #}
{% macro in_utc_of(at) %}{{ return(adapter.dispatch('in_utc_of')(at)) }}{% endmacro %}
{% macro duckdb__in_utc_of(at) %}{{ return(at ~ " at time zone 'UTC'") }}{% endmacro %}
{% macro spark__in_utc_of(at) %}{{ return('cast(' ~ at ~ ' as timestamp_ntz)') }}{% endmacro %}

{# A time of a clock in a time zone as UTC. A time that the clock shows twice is the later one. #}
{% macro in_utc(at, zone) %}{{ return(adapter.dispatch('in_utc')(at, zone)) }}{% endmacro %}
{% macro duckdb__in_utc(at, zone) %}{{ return(at ~ ' at time zone ' ~ literal(zone) ~ " at time zone 'UTC'") }}{% endmacro %}
{# Spark takes the earlier one. The clock is set back by what it shows too little after a day: that much later it may show the same. #}
{% macro spark__in_utc(at, zone) %}
    {% set clock = literal(zone) %}
    {% set later = "earlier + (at - cast(from_utc_timestamp(earlier + interval 24 hours, " ~ clock ~ ") as timestamp_ntz) + interval 24 hours)" %}
    {% set last = "case when later > earlier and cast(from_utc_timestamp(later, " ~ clock ~ ") as timestamp_ntz) = at then later else earlier end" %}
    {% set found = with_name('earlier', 'cast(to_utc_timestamp(at, ' ~ clock ~ ') as timestamp_ntz)', with_name('later', later, last)) %}
    {{ return(with_name('at', 'cast(' ~ at ~ ' as timestamp_ntz)', found)) }}
{% endmacro %}

{# A count of microseconds since 1970 as a timestamp. #}
{% macro time_of_microseconds(count) %}{{ return(adapter.dispatch('time_of_microseconds')(count)) }}{% endmacro %}
{% macro duckdb__time_of_microseconds(count) %}{{ return('make_timestamp(' ~ count ~ ')') }}{% endmacro %}
{% macro spark__time_of_microseconds(count) %}{{ return('cast(timestamp_micros(' ~ count ~ ') as timestamp_ntz)') }}{% endmacro %}

{# The time of a text that has the shape of a time format (pattern_of), or null; with an offset if the format has one. #}
{% macro time_by_format(text, format) %}{{ return(adapter.dispatch('time_by_format')(text, format)) }}{% endmacro %}
{% macro duckdb__time_by_format(text, format) %}{{ return('try_strptime(' ~ text ~ ', ' ~ literal(format) ~ ')') }}{% endmacro %}
{# Spark's own formats are read otherwise: so the parts of the text are put together as a time that it reads as DuckDB does. #}
{% macro spark__time_by_format(text, format) %}
    {% set months = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December'] %}
    {% set days = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'] %}
    {% set shapes = {
        '%Y': '\\d{4}', '%f': '\\d{1,6}+', '%p': '[AaPp][Mm]', '%z': '[+-]\\d{2}:?\\d{2}',
        '%b': '(?i:' ~ months | map('truncate', 3, true, '', 0) | join('|') ~ ')', '%B': '(?i:' ~ months | join('|') ~ ')',
        '%a': '(?i:' ~ days | map('truncate', 3, true, '', 0) | join('|') ~ ')', '%A': '(?i:' ~ days | join('|') ~ ')',
    } %}
    {# a number takes all digits that it may have, even if what follows then does not fit: `++` #}
    {% set shape, part = [], {} %}
    {% for one in modules.re.findall('%.|[^%]', format) %}
        {% do shape.append('(' ~ shapes.get(one, '\\d{1,2}+') ~ ')' if one[0] == '%' else modules.re.escape(one)) %}
        {% if one[0] == '%' %}{% do part.update({one: 'get(parts, ' ~ (part | length + 1) ~ ')'}) %}{% endif %}
    {% endfor %}
    {% set parts = [] %}
    {% for one in part %}{% do parts.append("chr(1), '$" ~ loop.index ~ "'") %}{% endfor %}
    {% set parts = "split(regexp_replace(" ~ text ~ ", " ~ literal('\\A' ~ shape | join('') ~ '\\z') ~ ", concat(" ~ parts | join(', ') ~ ")), chr(1))" %}
    {% set name = part['%B'] or part['%b'] %}
    {% set year = part['%Y'] or "case when " ~ part['%y'] ~ " < '69' then '20' else '19' end || " ~ part['%y'] %}
    {% set month = "cast((instr('janfebmaraprmayjunjulaugsepoctnovdec', lower(left(" ~ name ~ ", 3))) + 2) div 3 as string)" if name else part['%m'] %}
    {% set hour = part['%H'] or ("case when cast(" ~ part['%I'] ~ " as integer) between 1 and 12 then " ~ part['%I'] ~ " end" if part['%I'] else "'0'") %}
    {% if part['%p'] %}
        {% set half = "case when lower(left(" ~ part['%p'] ~ ", 1)) = 'p' then 12 else 0 end" %}
        {% set hour = "case when cast(" ~ hour ~ " as integer) <= 12 then cast(cast(" ~ hour ~ " as integer) % 12 + " ~ half ~ " as string) end" %}
    {% endif %}
    {% set numbers = [] %}
    {% for one in (month or "'1'", part['%d'] or "'1'", hour, part['%M'] or "'0'", part['%S'] or "'0'") %}{% do numbers.append("lpad(" ~ one ~ ", 2, '0')") %}{% endfor %}
    {% set at = "try_cast(concat(" ~ year ~ ", '-', " ~ numbers[0] ~ ", '-', " ~ numbers[1] ~ ", ' ', " ~ numbers[2] ~ ", ':', " ~ numbers[3] ~ ", ':', " ~ numbers[4] ~ ", '.', "
        ~ (part['%f'] or "'0'") ~ ") as timestamp_ntz)" %}
    {% if part['%z'] %}
        {% set minutes = "cast(left(" ~ part['%z'] ~ ", 3) as integer) * 60 + cast(left(" ~ part['%z'] ~ ", 1) || right(" ~ part['%z'] ~ ", 2) as integer)" %}
        {% set at = "timestampadd(minute, -(" ~ minutes ~ "), " ~ at ~ ")" %}
    {% endif %}
    {{ return(with_name('parts', parts, at)) }}
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
