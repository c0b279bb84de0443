"""The gold tables that every peer makes."""

# The columns of each table, with their types.
_REVENUE = {
    "country": "varchar",
    "currency": "varchar",
    "orders": "bigint",
    "units": "bigint",
    "gross_amount": "decimal(38,4)",
    "refunded_amount": "decimal(38,4)",
    "net_amount": "decimal(38,4)",
    "net_usd": "decimal(38,4)",
    "lines_without_usd": "bigint",
    "tax_amount": "decimal(38,4)",
    "tax_usd": "decimal(38,4)",
    "lines_without_tax": "bigint",
}
GOLD = {
    "daily_revenue": {
        "order_date": "date",
        **_REVENUE,
        "net_amount_7_days": "decimal(38,4)",
        "net_amount_28_days": "decimal(38,4)",
    },
    "hourly_revenue": {
        "order_hour": "timestamp",
        **_REVENUE,
        "net_amount_24_hours": "decimal(38,4)",
        "net_amount_7_days": "decimal(38,4)",
    },
    "daily_products": {
        "activity_date": "date",
        "product_id": "varchar",
        "orders": "bigint",
        "units": "bigint",
        "returned_units": "bigint",
        "net_usd": "decimal(38,4)",
        "lines_without_usd": "bigint",
        "views": "bigint",
        "carts": "bigint",
        "cart_rate": "decimal(18,4)",
        "units_28_days": "bigint",
        "stock_quantity": "bigint",
        "stock_cover_days": "decimal(18,4)",
    },
    "daily_traffic": {"event_date": "date", "event_type": "varchar", "events": "bigint", "visitors": "bigint"},
    "daily_sessions": {
        "session_date": "date",
        "country": "varchar",
        "sessions": "bigint",
        "visitors": "bigint",
        "events": "bigint",
        "bounces": "bigint",
        "cut_sessions": "bigint",
        "total_seconds": "bigint",
    },
    "daily_funnel": {
        "session_date": "date",
        "country": "varchar",
        "campaign": "varchar",
        "sessions": "bigint",
        "view_sessions": "bigint",
        "cart_sessions": "bigint",
        "checkout_sessions": "bigint",
        "purchase_sessions": "bigint",
        "conversion_rate": "decimal(18,4)",
    },
}
# The moving means of the revenue tables: how long each is, in days or hours.
DAILY_MEANS = {"net_amount_7_days": 7, "net_amount_28_days": 28}
HOURLY_MEANS = {"net_amount_24_hours": 24, "net_amount_7_days": 168}
