{{ touched_keys('products') }}
