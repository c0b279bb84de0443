{{ parse_records('order_items') }}
