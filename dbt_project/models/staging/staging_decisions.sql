{{ parse_records('decisions') }}
