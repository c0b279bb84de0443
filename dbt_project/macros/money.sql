{# The measures of revenue over counted lines. Gross is what was sold, refunded what came back, net the difference. #}

{% macro revenue_measures() -%}
    count(distinct order_id) as orders,
        cast(sum(quantity) as bigint) as units,
        cast(coalesce(sum(line_amount) filter (where quantity > 0), 0) as decimal(38, 4)) as gross_amount,
        cast(coalesce(-sum(line_amount) filter (where quantity < 0), 0) as decimal(38, 4)) as refunded_amount,
        cast(sum(line_amount) as decimal(38, 4)) as net_amount
{%- endmacro %}
