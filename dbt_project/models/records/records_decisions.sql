{{ contest('decisions') }}
