{{ touched_keys('source_counts') }}
