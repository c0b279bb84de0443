-- The orders of one day, each with its history. A pure function of the variables day, seed and size.
create or replace temp table draws as
select
    i,
    format('o-{}-{:06d}', strftime(day(), '%Y%m%d'), i) as order_id,
    u(i, 'second') as x,
    cast(floor(power(u(i, 'customer'), 2) * size() * 5) as bigint) as customer,
    -- the same on whatever day the customer comes
    ['DE', 'DE', 'FR', 'US', 'GB', 'JP'][1 + cast(hash(customer, 'country') % 6 as int)] as home_country,
    u(i, 'guest') as guest,
    u(i, 'fate') as fate,
    u(i, 'moved') as moved,
    1 + cast(floor(power(u(i, 'lines'), 2) * 4) as int) as line_count
from range(size()) as numbers (i);

create or replace temp table placed as
select
    *,
    -- denser around noon than around midnight
    day()::timestamp + to_seconds(cast(floor(86400 * (x + 0.12 * sin(2 * pi() * x))) as bigint)) as placed_at,
    case
        when guest < 0.04 then null
        when guest < 0.043 then format('c-unknown-{:06d}', i)
        else format('c-{:07d}', customer)
    end as customer_id,
    case when guest > 0.99 then null else home_country end as shipping_country,
    case home_country when 'US' then 'USD' when 'GB' then 'GBP' when 'JP' then 'JPY' else 'EUR' end as currency
from draws;

-- every version an order will ever have, the first when it is placed
create or replace temp table versions as
select order_id, i, placed_at as ordered_at, placed_at as updated_at, 'created' as status from placed
union all
select order_id, i, placed_at, placed_at + to_seconds(60 + cast(floor(x * 7200) as bigint)), 'paid' from placed where fate < 0.95
union all
select order_id, i, placed_at, placed_at + to_seconds(10000 + cast(floor(x * 40000) as bigint)), 'cancelled' from placed where fate >= 0.95
union all
select order_id, i, placed_at, placed_at + to_seconds(60000 + cast(floor(x * 40000) as bigint)), 'shipped' from placed where fate < 0.93
union all
select
    order_id, i,
    -- somebody fixes the day an order was placed
    case when moved < 0.005 then placed_at + interval 20 hour else placed_at end,
    placed_at + to_seconds(120000 + cast(floor(x * 100000) as bigint)), 'completed'
from placed where fate < 0.92
union all
select
    order_id, i,
    case when moved < 0.005 then placed_at + interval 20 hour else placed_at end,
    placed_at + to_seconds(230000 + cast(floor(x * 20000) as bigint)), 'refunded'
from placed where fate < 0.02;

create or replace temp table lines as
select
    order_id, i, line_number,
    case when u(i * 7 + line_number, 'unknown') < 0.002 then format('p-unknown-{:04d}', i % 97) else format('p-{:04d}', product) end as product_id,
    case when u(i * 7 + line_number, 'return') < 0.02 then -1 else 1 end * (1 + cast(floor(power(u(i * 7 + line_number, 'quantity'), 3) * 5) as int)) as quantity,
    cast(case when i = 0 then 0 else 1 + (product * 37 % 9000) / 100.0 + case when product % 10 = 0 then 0.0025 else 0 end end as decimal(18, 4)) as price,
    i % 1009 = 7 and line_number = 1 as is_nan,
    cast(case when i > 0 and u(i * 7 + line_number, 'discount') < 0.1 then 0.5 else 0 end as decimal(18, 4)) as discount_amount,
    placed_at as updated_at
from placed, lateral (select unnest(range(1, line_count + 1)) as line_number),
    lateral (select cast(floor(power(u(i * 7 + line_number, 'product'), 2) * 500) as bigint) as product);
