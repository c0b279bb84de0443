{{ touched_keys('orders') }}
