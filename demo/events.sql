-- The clicks of one day, each with its time of arrival and its planted fault. A pure function of day, seed and size.
create or replace temp table visits as
select
    v,
    -- the first four visits are from one machine, where four customers log in early; the first is the busy one of orders.sql
    case when v < 4 then format('v-{}', strftime(day(), '%Y%m%d')) else format('v-{:08d}', cast(floor(power(u(v, 'visitor'), 1.5) * size()) as bigint)) end as visitor_id,
    -- the last visits of a day continue after midnight
    day()::timestamp + to_seconds(case when v < 4 then 900 * v else cast(floor(86399 * (u(v, 'start') + 0.12 * sin(2 * pi() * u(v, 'start')))) as bigint) end) as started_at,
    ['DE', 'FR', 'US', 'GB', 'JP'][1 + cast(floor(u(v, 'country') * 5) as int)] as country,
    case when u(v, 'campaign') < 0.2 then ['black-friday', 'newsletter', 'retargeting', 'spring-lamps', 'influencer-anna'][1 + v % 5] end as campaign,
    ['desktop', 'phone', 'phone', 'tablet'][1 + cast(floor(u(v, 'device') * 4) as int)] as device,
    u(v, 'depth') as depth,
    ['shoes', 'café table', 'red lamp', 'Stühle'][1 + v % 4] as wanted,
    -- some search for products that the shop does not have or cannot find: they get an empty page, and search again
    case when u(v, 'typo') < 0.12 then ['shose', 'garden gnome', 'gift card', 'red lampp'][1 + cast(floor(u(v, 'typo') * 100 / 3) as int)] end as not_found
from range(cast(ceil(size() / 10.0) as bigint)) as numbers (v);

create or replace temp view clicks as
select
    v * 10 + k as i,
    format('e-{}-{:09d}', strftime(day(), '%Y%m%d'), v * 10 + k) as event_id,
    -- the funnel narrows: of the longer visits some add to the cart, and of the longest some buy
    case
        when k = 0 then 'page_view'
        when k = 1 and campaign is not null then 'ad_impression'
        when k = 2 then 'search'
        when k = 3 and not_found is not null then 'page_view'
        when k = 4 and not_found is not null then 'search'
        when k = 6 and depth < 0.4 then 'add_to_cart'
        when k = 7 and depth < 0.05 then 'remove_from_cart'
        when k = 8 and depth < 0.2 then 'checkout'
        when k = 9 and depth < 0.1 then 'purchase'
        when k % 2 = 1 then 'click'
        else 'page_view'
    end as event_type,
    started_at + to_milliseconds(cast(floor((k + u(v * 10 + k, 'pause')) * 90000) as bigint)) as event_time,
    visitor_id,
    case
        when v = 0 then format('c-{}-{:06d}', strftime(day(), '%Y%m%d'), 21)
        when depth < 0.3 or v < 4 then format('c-{:07d}', v % 2000)
    end as customer_id,
    case when k > case when not_found is null then 2 else 4 end then format('p-{:04d}', cast(floor(u(v * 10 + k, 'product') * 500) as bigint)) end as product_id,
    case when k = 2 then coalesce(not_found, wanted) when k = 4 and not_found is not null then wanted end as search_query,
    case when k = 0 and v % 3 > 0 then ['https://search.example/', 'https://news.example/'][v % 3] end as referrer,
    case when k = 9 and depth < 0.1 then format('o-{}-{:06d}', strftime(day(), '%Y%m%d'), v % 400) end as order_id,
    campaign, country, device, k,
    cast(floor(u(v * 10 + k, 'mess') * 100000) as int) as mess,
    u(v * 10 + k, 'late') as late
from visits, range(10) as steps (k)
where v * 10 + k < size();

create or replace temp view planted as
select
    *,
    case
        when mess < 400 then 'twice_in_a_file'
        when mess < 800 then 'twice_in_two_files'
        when mess < 900 then 'conflict'
        when mess < 1000 then 'broken_json'
        when mess < 1080 then 'invalid_utf8'
        when mess < 1160 then 'missing:visitor_id'
        when mess < 1200 then 'missing:event_id'
        when mess < 1280 then 'wrong_type:quantity'
        when mess < 1340 then 'wrong_type:unit_price'
        when mess < 1400 then 'out_of_range:quantity'
        when mess < 1440 then 'not_parsed:event_time'
        when mess < 1480 then 'in_future:event_time'
    end as plant,
    event_time + to_seconds(1 + case when late < 0.005 then cast(floor(late * 200 * 170000) as bigint) else 0 end) as arrived_at
from clicks;

create or replace temp view written as
with objects as (
    select
        *,
        coalesce(plant, '') in ('wrong_type:quantity', 'wrong_type:unit_price', 'out_of_range:quantity')
        or event_type in ('add_to_cart', 'purchase') as has_price,
        case plant when 'in_future:event_time' then event_time + interval 9 year else event_time end as said_time
    from planted
),

texts as (
    select
        *,
        to_json({
            'event_id': case when plant is distinct from 'missing:event_id' then event_id end,
            'event_type': event_type,
            'event_time': case plant
                when 'not_parsed:event_time' then strftime(said_time, '%Y-13-%dT%H:%M:%SZ')
                else strftime(said_time, '%Y-%m-%dT%H:%M:%S.%gZ') end,
            'visitor_id': case when plant is distinct from 'missing:visitor_id' then visitor_id end,
            'customer_id': customer_id,
            'url': format('https://shop.example/{}', coalesce(product_id, '')),
            'referrer': referrer,
            'product_id': product_id,
            'search_query': search_query,
            'campaign': campaign,
            'order_id': order_id,
            'quantity': case when plant = 'out_of_range:quantity' then 0 when has_price then 1 + i % 3 end,
            'unit_price': case when has_price then format('{}.{:02d}', 1 + i % 90, i % 100) end,
            'currency': case when has_price then 'EUR' end,
            'country': country,
            'user_agent': device,
            'properties': {'step': k}
        })::varchar as good
    from objects
)

select
    i, event_type, visitor_id, plant, arrived_at, cast(said_time as date) as event_date,
    case plant
        when 'broken_json' then left(good, 40 + i % 30)
        -- U+2400 stands for an invalid UTF-8 byte until the file is written
        when 'invalid_utf8' then replace(good, 'shop.example', 'shop' || chr(9216) || 'example')
        -- left out, empty or null: all count as missing
        when 'missing:visitor_id' then
            replace(good, '"visitor_id":null,', case i % 3 when 0 then '' when 1 then '"visitor_id":"",' else '"visitor_id":null,' end)
        when 'wrong_type:quantity' then regexp_replace(good, '"quantity":\d+', '"quantity":"two"')
        when 'wrong_type:unit_price' then regexp_replace(good, '"unit_price":"([\d.]+)"', '"unit_price":true')
        else good
    end || chr(10) as line,
    case plant
        when 'twice_in_a_file' then line
        when 'twice_in_two_files' then line
        when 'conflict' then replace(line, 'shop.example', 'other.example')
    end as second_line,
    i % 3 as part,
    case when plant = 'twice_in_a_file' then i % 3 else (i + 1) % 3 end as second_part
from texts;
