{{ parse_records('clickstream') }}
