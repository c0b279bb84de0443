{# Text as a value of a type; null if it is none. Casts alone would round decimals. #}
{% macro to_decimal(text, places=4) -%}
    case when regexp_full_match({{ text }}, '[+-]?(\d+(\.\d{0,{{ places }}})?|\.\d{1,{{ places }}})') then try_cast({{ text }} as decimal(18, {{ places }})) end
{%- endmacro %}
{% macro to_bigint(text) -%} case when regexp_full_match({{ text }}, '[+-]?\d+') then try_cast({{ text }} as bigint) end {%- endmacro %}
{% macro to_utc(text) -%} try_cast({{ text }} as timestamptz) at time zone 'UTC' {%- endmacro %}

{# Amounts are divided as whole numbers: DuckDB divides decimals as doubles. #}
{% macro half_even(dividend, divisor) -%}
    sign({{ dividend }}) * (
        abs({{ dividend }}) // {{ divisor }}
        + case
            when abs({{ dividend }}) % {{ divisor }} * 2 > {{ divisor }} then 1
            when abs({{ dividend }}) % {{ divisor }} * 2 = {{ divisor }} then abs({{ dividend }}) // {{ divisor }} % 2
            else 0
        end
    )
{%- endmacro %}
{% macro to_units(amount) -%} cast(cast({{ amount }} as decimal(38, 4)) * 10000 as bigint) {%- endmacro %}
{% macro to_amount(units) -%} cast(cast({{ units }} as decimal(34, 0)) * 0.0001::decimal(5, 4) as decimal(38, 4)) {%- endmacro %}
{% macro ratio(part, whole) -%} cast({{ to_amount(half_even('(' ~ part ~ ')::hugeint * 10000', '(' ~ whole ~ ')::hugeint')) }} as decimal(18, 4)) {%- endmacro %}

{# The measures of revenue over counted lines. #}
{% macro revenue_measures() -%}
    country,
    currency,
    count(distinct order_id) as orders,
    cast(sum(quantity) as bigint) as units,
    {{ to_amount('coalesce(sum(amount_units) filter (where quantity > 0), 0)') }} as gross_amount,
    {{ to_amount('coalesce(-sum(amount_units) filter (where quantity < 0), 0)') }} as refunded_amount,
    sum(amount_units) as net_units,
    {{ to_amount('sum(amount_units)') }} as net_amount,
    {{ to_amount('sum(usd_units)') }} as net_usd,
    count(*) - count(usd_units) as lines_without_usd,
    {{ to_amount('sum(tax_units)') }} as tax_amount,
    {{ to_amount('sum(tax_usd_units)') }} as tax_usd,
    count(*) - count(tax_units) as lines_without_tax
{%- endmacro %}

{% macro moving_mean(at, length, unit) -%}
    {%- set total -%}
        sum(net_units) over (
            partition by country, currency order by {{ at }} range between interval {{ length - 1 }} {{ unit }} preceding and current row
        )
    {%- endset -%}
    {{ to_amount(half_even(total, length ~ '::hugeint')) }}
{%- endmacro %}
