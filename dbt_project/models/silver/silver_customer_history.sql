{{ history('customers', [empty_as_missing('country') ~ ' as country', 'created_at'], since='least(created_at, updated_at)') }}
