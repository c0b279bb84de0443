{{ contest('exchange_rates') }}
