{# Of each order, the most accounts that a visitor had by then, of the visitors that the order's customer had appeared as.

   `orders` have order_id, customer_id and ordered_at; `accounts` have one row for each visitor and customer, with the time at which
   they were first seen together and the visitor's accounts by then. An order of which no visitor is known has no row.

   An account that all guests order by has many orders and many visitors, and the device of a shop floor has many accounts: neither is
   joined with itself. For each visitor of a customer, the fewer are looked up in the others: the customer's orders in the times at
   which the visitor gained an account, or those times in the orders. #}
{% macro visitor_accounts(orders, accounts) %}
with customers as (
    select customer_id, count(*) as orders, min(ordered_at) as first_ordered_at, max(ordered_at) as last_ordered_at
    from {{ orders }}
    where customer_id is not null
    group by customer_id
),

appearances as (
    select
        accounts.customer_id, accounts.visitor_id, accounts.first_seen_at,
        customers.orders, greatest(accounts.first_seen_at, customers.first_ordered_at) as matters_from
    from {{ accounts }} as accounts
    inner join customers on accounts.customer_id = customers.customer_id and accounts.first_seen_at <= customers.last_ordered_at
),

-- the times at which these visitors gained an account
gains as (
    select distinct visitor_id, first_seen_at, accounts_by_then
    from {{ accounts }}
    where visitor_id in (select visitor_id from appearances)
),

visitors as (
    select visitor_id, count(*) as gains from gains group by visitor_id
),

sides as (
    select appearances.*, appearances.orders <= visitors.gains as has_fewer_orders
    from appearances
    inner join visitors on appearances.visitor_id = visitors.visitor_id
),

orders_looked_up as (
    select orders.order_id, orders.ordered_at, sides.visitor_id
    from sides
    inner join {{ orders }} as orders on sides.customer_id = orders.customer_id and sides.first_seen_at <= orders.ordered_at
    where sides.has_fewer_orders
),

-- what was gained before the first of the orders is one row of a customer, however long the history is
gains_looked_up as (
    select
        sides.customer_id,
        greatest(gains.first_seen_at, sides.matters_from) as gained_at,
        max(gains.accounts_by_then) as accounts
    from sides
    inner join gains on sides.visitor_id = gains.visitor_id
    where not sides.has_fewer_orders
    group by sides.customer_id, greatest(gains.first_seen_at, sides.matters_from)
),

most_by_then as (
    select customer_id, gained_at, max(accounts) over (partition by customer_id order by gained_at) as accounts
    from gains_looked_up
),

found as (
    select orders_looked_up.order_id, gains.accounts_by_then as accounts
    from orders_looked_up
    {{ asof_join('inner', 'gains', 'gains', keys={'orders_looked_up.visitor_id': 'visitor_id'}, at='orders_looked_up.ordered_at', since='first_seen_at') }}
    union all
    select orders.order_id, most_by_then.accounts
    -- a join by time sorts both of its sides: give it only rows that can match
    from (select * from {{ orders }} where customer_id in (select customer_id from most_by_then)) as orders
    {{ asof_join('inner', 'most_by_then', 'most_by_then', keys={'orders.customer_id': 'customer_id'}, at='orders.ordered_at', since='gained_at') }}
)

select order_id, max(accounts) as visitor_accounts from found group by order_id
{% endmacro %}
