{{ history('customers', ['country', 'created_at'], since='least(created_at, updated_at)') }}
