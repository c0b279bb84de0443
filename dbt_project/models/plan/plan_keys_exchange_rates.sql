{{ touched_keys('exchange_rates') }}
