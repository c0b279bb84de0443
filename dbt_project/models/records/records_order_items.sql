{{ contest('order_items') }}
