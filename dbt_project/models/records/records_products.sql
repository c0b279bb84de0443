{{ contest('products') }}
