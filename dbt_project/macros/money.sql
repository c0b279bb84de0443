{# Whether an order counts as one: a credit note takes money back, and nobody ordered anything. #}
{% macro is_an_order(status) -%} {{ status }} is distinct from 'credit_note' {%- endmacro %}

{# Whether a line takes money back: it returns units, or it has none, such as a shipping charge, and is of a credit note. #}
{% macro is_a_return(quantity, status) -%}
    ({{ quantity }} < 0 or ({{ quantity }} = 0 and not ({{ is_an_order(status) }})))
{%- endmacro %}

{# The price per unit of a line whose amount is known, if four decimals can say it; else null, as no price would be the right one. #}
{% macro exact_unit_price(line_amount, discount_amount, quantity) -%}
    {%- set units = '(' ~ in_units('cast(' ~ line_amount ~ ' as decimal(38, 4)) + coalesce(' ~ discount_amount ~ ', 0)') ~ ')' -%}
    case
            when {{ line_amount }} is not null and {{ units }} % nullif({{ quantity }}, 0) = 0
                then try_cast({{ from_units(integer_quotient(units, quantity)) }} as decimal(18, 4))
        end
{%- endmacro %}

{# The measures of revenue over counted lines: gross of sales, refunded of returns, and net, the difference. #}

{% macro revenue_measures() -%}
    {%- set returned = is_a_return('quantity', 'order_status') -%}
    count(distinct order_id) filter (where {{ is_an_order('order_status') }}) as orders,
        cast(sum(quantity) as bigint) as units,
        cast(coalesce(sum(line_amount) filter (where not {{ returned }}), 0) as decimal(38, 4)) as gross_amount,
        cast(coalesce(-sum(line_amount) filter (where {{ returned }}), 0) as decimal(38, 4)) as refunded_amount,
        cast(sum(line_amount) as decimal(38, 4)) as net_amount,
        cast(sum(line_amount_usd) as decimal(38, 4)) as net_usd,
        count(*) - count(line_amount_usd) as lines_without_usd,
        cast(sum(tax_amount) as decimal(38, 4)) as tax_amount,
        cast(sum(tax_amount_usd) as decimal(38, 4)) as tax_usd,
        count(*) - count(tax_amount) as lines_without_tax
{%- endmacro %}

{# The names of these measures. #}
{% macro revenue_columns() -%}
    orders, units, gross_amount, refunded_amount, net_amount, net_usd, lines_without_usd, tax_amount, tax_usd, lines_without_tax
{%- endmacro %}

{# A mean over a sliding window, in which dates or hours without a row count as 0; rounded half-even to four decimals. #}
{% macro moving_mean(amount, by, at, length, unit) -%}
    {%- set window -%} sum({{ in_units(amount) }}) over ({{ sliding(by, at, length, unit) }}) {%- endset -%}
    {{ from_units(divided_half_even('(' ~ window ~ ')', length)) }}
{%- endmacro %}

{# The money of a record by its contract: currency, amount, and whether it could be read; all null if the dataset has no money. #}
{% macro money_of(dataset) -%}
    {%- set money = contract(dataset).meta.get('money') -%}
    {%- if money -%}
        {{ money.currency if money.currency else 'cast(null as string)' }} as currency,
        cast({{ money.amount }} as decimal(38, 4)) as amount,
        case when {{ money.column }} is not null then ({{ money.amount }}) is not null end as is_amount_read
    {%- else -%}
        cast(null as string) as currency, cast(null as decimal(38, 4)) as amount, cast(null as boolean) as is_amount_read
    {%- endif -%}
{%- endmacro %}

{# Convert an amount in ten-thousandths back; in_units() is its inverse. #}
{% macro from_units(units) -%} cast(cast({{ units }} as decimal(34, 0)) * 0.0001::decimal(5, 4) as decimal(38, 4)) {%- endmacro %}

{# An amount in dollars, computed exactly from the two quotes of one euro, each in units of eight decimals, and rounded
   half-even to four decimals. Null if the amount is too large to be money. `dividend` names a column of `usd_dividend`: the
   expression has it many times, and DuckDB would compute it each time. #}
{% macro in_usd(amount, usd_units, currency_units, dividend=none) -%}
    {{ from_units(divided_half_even(dividend or '(' ~ usd_dividend(amount, usd_units) ~ ')', currency_units)) }}
{%- endmacro %}

{% macro usd_dividend(amount, usd_units) -%}
    case when abs({{ amount }}) < 1000000000000000 then {{ in_units(amount) }} * {{ usd_units }} end
{%- endmacro %}
