"""The columns of each table, with their types."""

ORDERS = {
    "order_id": "varchar",
    "customer_id": "varchar",
    "status": "varchar",
    "currency": "varchar",
    "payment_method": "varchar",
    "shipping_country": "varchar",
    "total_amount": "decimal(18,4)",
    "ordered_at": "timestamp",
    "updated_at": "timestamp",
}
ORDER_ITEMS = {
    "order_id": "varchar",
    "line_number": "bigint",
    "product_id": "varchar",
    "quantity": "bigint",
    "unit_price": "decimal(18,4)",
    "discount_amount": "decimal(18,4)",
    "updated_at": "timestamp",
}
CUSTOMERS = {
    "customer_id": "varchar",
    "email": "varchar",
    "full_name": "varchar",
    "country": "varchar",
    "created_at": "timestamp",
    "updated_at": "timestamp",
}
PRODUCTS = {
    "product_id": "varchar",
    "name": "varchar",
    "category": "varchar",
    "unit_price": "decimal(18,4)",
    "currency": "varchar",
    "stock_quantity": "bigint",
    "updated_at": "timestamp",
}
EXCHANGE_RATES = {"rate_date": "date", "currency": "varchar", "rate": "decimal(18,8)", "updated_at": "timestamp"}
SHOP = {"order_items": ORDER_ITEMS, "orders": ORDERS, "customers": CUSTOMERS, "products": PRODUCTS}


CLICK = {
    "event_id": "varchar",
    "event_type": "varchar",
    "event_time": "timestamp",
    "visitor_id": "varchar",
    "customer_id": "varchar",
    "url": "varchar",
    "referrer": "varchar",
    "product_id": "varchar",
    "search_query": "varchar",
    "campaign": "varchar",
    "order_id": "varchar",
    "quantity": "bigint",
    "unit_price": "decimal(18,4)",
    "currency": "varchar",
    "country": "varchar",
    "user_agent": "varchar",
    "properties": "json",
}
