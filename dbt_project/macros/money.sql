{# The measures of revenue over counted lines. Gross is what was sold, refunded what came back, net the difference. #}

{% macro revenue_measures() -%}
    count(distinct order_id) as orders,
        cast(sum(quantity) as bigint) as units,
        cast(coalesce(sum(line_amount) filter (where quantity > 0), 0) as decimal(38, 4)) as gross_amount,
        cast(coalesce(-sum(line_amount) filter (where quantity < 0), 0) as decimal(38, 4)) as refunded_amount,
        cast(sum(line_amount) as decimal(38, 4)) as net_amount
{%- endmacro %}

{# Money of a record by its contract: currency, amount, and whether it could be read; nothing at all where there is none. #}
{% macro money_of(dataset) -%}
    {%- set money = contract(dataset).meta.get('money') -%}
    {%- if money -%}
        {{ money.currency if money.currency else 'cast(null as varchar)' }} as currency,
        cast({{ money.amount }} as decimal(38, 4)) as amount,
        case when {{ money.column }} is not null then ({{ money.amount }}) is not null end as is_amount_read
    {%- else -%}
        cast(null as varchar) as currency, cast(null as decimal(38, 4)) as amount, cast(null as boolean) as is_amount_read
    {%- endif -%}
{%- endmacro %}
