{{ touched_keys('clickstream') }}
