{# Money is conserved within a row: net = gross - refunded. #}
{% test net_is_gross_less_refunded(model) %}
{{ config(meta={'finding': 'net_amount differs from gross_amount - refunded_amount in these rows.'}) }}
select * from {{ model }} where net_amount <> gross_amount - refunded_amount
{% endtest %}
