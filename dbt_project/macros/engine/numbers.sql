{# Exact arithmetic. Both engines divide decimals inexactly: DuckDB as doubles, Spark with the digits that 38 leave. So amounts
   are divided as whole numbers. #}

{# A quotient of whole numbers in 64 bits, towards zero. #}
{% macro integer_quotient(dividend, divisor) %}{{ return(adapter.dispatch('integer_quotient')(dividend, divisor)) }}{% endmacro %}
{% macro duckdb__integer_quotient(dividend, divisor) %}{{ return(dividend ~ ' // ' ~ divisor) }}{% endmacro %}
{% macro spark__integer_quotient(dividend, divisor) %}{{ return(dividend ~ ' div ' ~ divisor) }}{% endmacro %}

{# A quotient of whole numbers, rounded half-even to a whole number. The divisor is above 0. #}
{% macro divided_half_even(dividend, divisor) -%} {{ adapter.dispatch('divided_half_even')(dividend, divisor) }} {%- endmacro %}
{% macro duckdb__divided_half_even(dividend, divisor) -%}
    {{ in_64_bits_or_128(half_even_quotient, dividend, divisor) }}
{%- endmacro %}
{# `div` keeps 64 bits and says nothing. What the rest is taken from is divided without one. #}
{% macro spark__divided_half_even(dividend, divisor) -%}
    {%- set whole, by = as_hugeint('abs(' ~ dividend ~ ')'), as_hugeint(divisor) -%}
    {%- set rest = '(' ~ whole ~ ' % ' ~ by ~ ')' -%}
    {%- set quotient = as_hugeint('(' ~ whole ~ ' - ' ~ rest ~ ') / ' ~ by) -%}
    cast({{ as_hugeint('sign(' ~ dividend ~ ')') }} * ({{ quotient }} + case
            when 2 * {{ rest }} > {{ by }} or (2 * {{ rest }} = {{ by }} and {{ quotient }} % 2 = 1) then 1 else 0
        end) as decimal(38, 0))
{%- endmacro %}

{# A quotient of whole numbers, rounded down. The divisor is above 0. #}
{% macro divided_down(dividend, divisor) -%} {{ adapter.dispatch('divided_down')(dividend, divisor) }} {%- endmacro %}
{% macro duckdb__divided_down(dividend, divisor) -%}
    {{ in_64_bits_or_128(quotient_down, dividend, divisor) }}
{%- endmacro %}
{% macro spark__divided_down(dividend, divisor) -%}
    {%- set whole, by = as_hugeint(dividend), as_hugeint(divisor) -%}
    {{ as_hugeint('(' ~ whole ~ ' - pmod(' ~ whole ~ ', ' ~ by ~ ')) / ' ~ by) }}
{%- endmacro %}

{% macro half_even_quotient(dividend, divisor) -%}
    {%- set quotient = 'abs(' ~ dividend ~ ') // ' ~ divisor -%}
    {%- set twice_rest = '2 * (abs(' ~ dividend ~ ') % ' ~ divisor ~ ')' -%}
    sign({{ dividend }})::hugeint * ({{ quotient }} + case
            when {{ twice_rest }} > {{ divisor }} or ({{ twice_rest }} = {{ divisor }} and ({{ quotient }}) % 2 = 1) then 1 else 0
        end)
{%- endmacro %}

{% macro quotient_down(dividend, divisor) -%}
    cast({{ dividend }} // {{ divisor }} - case when {{ dividend }} % {{ divisor }} < 0 then 1 else 0 end as hugeint)
{%- endmacro %}

{# DuckDB divides 128-bit numbers a hundred times slower than 64-bit ones, in which nearly all amounts fit. #}
{% macro in_64_bits_or_128(quotient, dividend, divisor) -%}
    {%- set most = 4 * 10 ** 18 -%}
    case
            when {{ dividend }} between -{{ most }} and {{ most }} and {{ divisor }} <= {{ most }}
                then {{ quotient('(' ~ dividend ~ ')::bigint', '(' ~ divisor ~ ')::bigint') }}
            else {{ quotient('(' ~ dividend ~ ')::hugeint', '(' ~ divisor ~ ')::hugeint') }}
        end
{%- endmacro %}

{# An amount in whole units of its last decimal. #}
{% macro in_units(amount, decimals=4) -%} {{ adapter.dispatch('in_units')(amount, decimals) }} {%- endmacro %}
{# In 64 bits if it fits. #}
{% macro duckdb__in_units(amount, decimals) -%}
    {%- set units = 10 ** decimals -%}
    case
            when abs({{ amount }}) < {{ 10 ** (17 - 2 * decimals) }}
                then cast(cast(cast({{ amount }} as decimal({{ 17 - decimals }}, {{ decimals }})) * {{ units }} as bigint) as hugeint)
            else cast(cast({{ amount }} as decimal(38, {{ decimals }})) * {{ units }} as hugeint)
        end
{%- endmacro %}
{% macro spark__in_units(amount, decimals) -%} {{ as_hugeint('cast(' ~ amount ~ ' as decimal(38, ' ~ decimals ~ ')) * ' ~ 10 ** decimals) }} {%- endmacro %}

{# An exchange rate from units of ten decimals. Multiplied, Spark would keep nine of them. #}
{% macro rate_from_units(units) %}{{ return(adapter.dispatch('rate_from_units')(units)) }}{% endmacro %}
{% macro duckdb__rate_from_units(units) -%}
    cast(
            cast({{ units }} as decimal(28, 0))
            * 0.0000000001::decimal(10, 10)
            as decimal(28, 10)
        )
{%- endmacro %}
{% macro spark__rate_from_units(units) %}{{ return('cast(cast(' ~ units ~ ' as decimal(28, 0)) / cast(10000000000 as decimal(11, 0)) as decimal(28, 10))') }}{% endmacro %}

{# Ten to the power of a small whole number, as a whole number. #}
{% macro power_of_ten(exponent) %}{{ return(adapter.dispatch('power_of_ten')(exponent)) }}{% endmacro %}
{% macro duckdb__power_of_ten(exponent) %}{{ return('cast(10 ** (' ~ exponent ~ ') as hugeint)') }}{% endmacro %}
{% macro spark__power_of_ten(exponent) %}{{ return('cast(power(10, ' ~ exponent ~ ') as decimal(38, 0))') }}{% endmacro %}

{# The lower of the two middle values of a group, or the middle one: a value that is there. #}
{% macro middle_value(value) %}{{ return(adapter.dispatch('middle_value')(value)) }}{% endmacro %}
{% macro duckdb__middle_value(value) %}{{ return('quantile_disc(' ~ value ~ ', 0.5)') }}{% endmacro %}
{# percentile_disc() returns a double. #}
{% macro spark__middle_value(value) %}
    {{ return('get(array_sort(collect_list(' ~ value ~ ')), cast(ceil(count(' ~ value ~ ') / 2) as integer) - 1)') }}
{% endmacro %}

{# A whole number from text, whose decimals are zeros if it has any. #}
{% macro whole_number(text, data_type) %}{{ return(adapter.dispatch('whole_number')(text, data_type)) }}{% endmacro %}
{% macro duckdb__whole_number(text, data_type) %}{{ return('try_cast(' ~ text ~ ' as ' ~ data_type ~ ')') }}{% endmacro %}
{% macro spark__whole_number(text, data_type) %}{{ return('try_cast(substring_index(' ~ text ~ ", '.', 1) as " ~ data_type ~ ')') }}{% endmacro %}

{# A percentage as a share: its number, with the point two digits to the left. A number that does not say that it is one is refused. #}
{% macro as_share(text, number) %}{{ return(adapter.dispatch('as_share')(text, number)) }}{% endmacro %}
{% macro duckdb__as_share(text, number) -%}
    {%- set whole = "regexp_extract(" ~ number ~ ", '^[+-]?(\\d*)', 1)" -%}
    {%- set padded = "lpad(" ~ whole ~ ", cast(greatest(length(" ~ whole ~ "), 3) as integer), '0')" -%}
    case
        when not regexp_full_match({{ number }}, '[+-]?(\d+(\.\d*)?|\.\d+)') then {{ number }}
        when not ends_with({{ text }}, '%') then '?' || {{ text }}
        else regexp_extract({{ number }}, '^[+-]?') || left({{ padded }}, -2) || '.' || rtrim(right({{ padded }}, 2) || regexp_extract({{ number }}, '\.(\d*)$', 1), '0')
    end
{%- endmacro %}
{% macro spark__as_share(text, number) %}
    {% set whole = "regexp_extract(number, '^[+-]?([0-9]*)', 1)" %}
    {% set padded = "lpad(" ~ whole ~ ", cast(greatest(length(" ~ whole ~ "), 3) as integer), '0')" %}
    {% set digits = "right(" ~ padded ~ ", 2) || regexp_extract(number, '[.]([0-9]*)$', 1)" %}
    {% set share %}
        case
            when not {{ regexp_full_match('number', "'[+-]?(\\d+(\\.\\d*)?|\\.\\d+)'") }} then number
            when not endswith({{ text }}, '%') then '?' || {{ text }}
            else regexp_extract(number, '^[+-]?', 0) || left({{ padded }}, length({{ padded }}) - 2) || '.' || {{ trimmed_behind(digits, "'0'") }}
        end
    {% endset %}
    {{ return(with_name('number', number, share)) }}
{% endmacro %}

{# The decimal number of a text, which has at most 18 digits before its point and six behind it, times a power of ten up to a million. #}
{% macro decimal_times(text, unit) %}{{ return(adapter.dispatch('decimal_times')(text, unit)) }}{% endmacro %}
{% macro duckdb__decimal_times(text, unit) %}{{ return('try_cast(' ~ text ~ ' as decimal(38, 6)) * ' ~ unit) }}{% endmacro %}
{# A product of more than 38 digits would lose some. #}
{% macro spark__decimal_times(text, unit) %}{{ return('try_cast(' ~ text ~ ' as decimal(24, 6)) * cast(' ~ unit ~ ' as decimal(7, 0))') }}{% endmacro %}
