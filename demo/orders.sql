-- The orders of one day, each with its history. A pure function of the variables day, seed, size and bulk.
create or replace temp table draws as
select
    i,
    format('o-{}-{:06d}', strftime(day(), '%Y%m%d'), i) as order_id,
    -- A few risky orders: of each hundred, one of a new account, and five of a busy customer within hours (four small ones and
    -- a large one, all sent abroad); and, if the day has one, a bulk order that is cancelled.
    case
        when i % 100 = 11 then 'new'
        when i % 100 between 21 and 24 then 'busy'
        when i % 100 = 25 then 'busy and large'
        when bulk() and i = 31 then 'bulk'
    end as risk,
    -- the first order of the same risky customer
    case when starts_with(risk, 'busy') then i - i % 100 + 21 when risk is not null then i end as of_order,
    case
        when starts_with(risk, 'busy') then 0.1 + 0.7 * u(of_order, 'second') + (i - of_order) * 0.02
        -- placed early, so that it is cancelled on the same day
        when risk = 'bulk' then 0.25
        else u(i, 'second')
    end as x,
    case
        when risk is not null then cast(strftime(day(), '%Y%m%d') as bigint) * 1000000 + of_order
        else cast(floor(power(u(i, 'customer'), 2) * size() * 5) as bigint)
    end as customer,
    -- the same on every day on which the customer orders
    ['DE', 'DE', 'FR', 'US', 'GB', 'JP'][1 + cast(hash(customer, 'country') % 6 as int)] as home_country,
    case when risk is not null then 0.5 else u(i, 'guest') end as guest,
    case when risk = 'bulk' then 0.99 else u(i, 'fate') end as fate,
    u(i, 'moved') as moved,
    case when risk is not null then 1 else 1 + cast(floor(power(u(i, 'lines'), 2) * 4) as int) end as line_count
from range(size()) as numbers (i);

create or replace temp table placed as
select
    *,
    -- more orders around noon than around midnight
    day()::timestamp + to_seconds(cast(floor(86400 * (x + 0.12 * sin(2 * pi() * x))) as bigint)) as placed_at,
    case
        when guest < 0.04 then null
        when guest < 0.043 then format('c-unknown-{:06d}', i)
        when risk is not null then format('c-{}-{:06d}', strftime(day(), '%Y%m%d'), of_order)
        else format('c-{:07d}', customer)
    end as customer_id,
    case when risk = 'new' then placed_at - interval 20 hour else timestamp '2021-03-01' + to_days((customer * 7919 % 1500)::int) end as customer_since,
    case
        when guest > 0.99 then null
        when risk in ('new', 'busy', 'busy and large') then case home_country when 'DE' then 'FR' else 'DE' end
        else home_country
    end as shipping_country,
    case home_country when 'US' then 'USD' when 'GB' then 'GBP' when 'JP' then 'JPY' else 'EUR' end as currency
from draws;

-- every version that an order will ever have, from its placing on
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
    -- a person corrects the date on which an order was placed
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
    case
        when risk = 'busy' then 1
        when risk = 'bulk' then 1200
        when risk is not null then 8
        else case when u(i * 7 + line_number, 'return') < 0.02 then -1 else 1 end * (1 + cast(floor(power(u(i * 7 + line_number, 'quantity'), 3) * 5) as int))
    end as quantity,
    -- a price in yen is a whole number, and larger
    cast(case
        when i = 0 then 0
        when currency = 'JPY' then round(160 * listed)
        else listed + case when product % 10 = 0 then 0.0025 else 0 end
    end as decimal(18, 4)) as price,
    i % 1009 = 7 and line_number = 1 as is_nan,
    cast(case when i > 0 and u(i * 7 + line_number, 'discount') < 0.1 then case when currency = 'JPY' then 80 else 0.5 end else 0 end as decimal(18, 4)) as discount_amount,
    placed_at as updated_at
from placed, lateral (select unnest(range(1, line_count + 1)) as line_number),
    lateral (
        select case
            when risk = 'busy' then 13
            when risk is not null then 243
            else cast(floor(power(u(i * 7 + line_number, 'product'), 2) * 500) as bigint)
        end as product
    ),
    lateral (select 1 + (product * 37 % 9000) / 100.0 as listed);
