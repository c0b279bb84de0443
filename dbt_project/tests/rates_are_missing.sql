-- Lines that wait for an exchange rate: none was quoted on their date, nor in the days before it. They are in no amount in dollars.
{{ config(severity='warn') }}
select order_date, currency, count(*) as lines
from {{ ref('silver_order_items') }}
where is_counted and line_amount_usd is null
group by order_date, currency
