{{ touched_keys('decisions') }}
