{{ contest('customers') }}
