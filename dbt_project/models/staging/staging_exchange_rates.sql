{{ parse_records('exchange_rates') }}
