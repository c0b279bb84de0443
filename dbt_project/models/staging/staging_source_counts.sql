{{ parse_records('source_counts') }}
