{{ contest('source_counts') }}
