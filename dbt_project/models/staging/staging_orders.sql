{{ parse_records('orders') }}
