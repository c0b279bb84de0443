{{ parse_records('products') }}
