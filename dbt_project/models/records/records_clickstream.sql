{{ contest('clickstream') }}
