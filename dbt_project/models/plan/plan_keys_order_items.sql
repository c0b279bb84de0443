{{ touched_keys('order_items') }}
