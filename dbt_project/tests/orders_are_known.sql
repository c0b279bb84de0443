-- A line whose order has not come, or was refused, is in silver but in no revenue.
{{ config(severity='warn', meta={'finding': 'these lines have no valid order, so they are in no revenue. Next: clearwell dead-letters list, or ingest the window of their orders'}) }}
select order_id, line_number, line_amount from {{ ref('silver_order_items') }} where not is_known_order
