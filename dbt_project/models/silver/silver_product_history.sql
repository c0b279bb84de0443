{{ history('products', ['name', 'category', 'unit_price', 'currency', 'stock_quantity'], since='updated_at') }}
