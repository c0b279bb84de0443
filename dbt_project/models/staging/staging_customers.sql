{{ parse_records('customers') }}
