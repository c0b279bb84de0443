create schema if not exists shop;

create table if not exists shop.customers (
    customer_id text primary key, email text, full_name text, country char(2), created_at timestamptz, updated_at timestamptz
);
create table if not exists shop.products (
    product_id text primary key, name text, category text, unit_price numeric(18, 4), currency char(3), stock_quantity int,
    updated_at timestamptz
);
create table if not exists shop.orders (
    order_id text primary key, customer_id text, status text, currency char(3), payment_method text, shipping_country char(2),
    total_amount numeric(18, 4), ordered_at timestamptz, updated_at timestamptz
);
create table if not exists shop.order_items (
    order_id text, line_number int, product_id text, quantity int, unit_price numeric(18, 4), discount_amount numeric(18, 4),
    updated_at timestamptz, primary key (order_id, line_number)
);
create index if not exists orders_ordered_at on shop.orders (ordered_at);
create index if not exists orders_updated_at on shop.orders (updated_at);
create index if not exists order_items_updated_at on shop.order_items (updated_at);

-- The state of the simulation: the days that exist, and up to when time has passed.
create schema if not exists simulation;
create table if not exists simulation.days (
    day date primary key, seed int, orders_per_day int, events_per_day int, is_begun boolean default false
);
alter table simulation.days add column if not exists has_bulk_order boolean default false;
create table if not exists simulation.clock (until timestamptz);
