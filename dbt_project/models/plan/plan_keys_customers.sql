{{ touched_keys('customers') }}
