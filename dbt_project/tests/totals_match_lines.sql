-- The total the shop shows, held against the lines of the order. It is never used as revenue.
{{ config(severity='warn', meta={'finding': 'total_amount of these orders differs from the sum of their lines, which is what revenue uses. Next: compare the orders in the shop'}) }}
with lines as (
    select order_id, sum(line_amount) as line_amount from {{ ref('silver_order_items') }} where is_known_order group by order_id
)

select orders.order_id, orders.order_date, orders.total_amount, lines.line_amount
from {{ ref('silver_orders') }} as orders
inner join lines on orders.order_id = lines.order_id
where orders.total_amount <> lines.line_amount
