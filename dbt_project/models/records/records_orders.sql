{{ contest('orders') }}
