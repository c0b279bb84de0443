-- The orders whose features are made again: those with another context, and those of the customers of a changed visitor, from
-- the time of the change on.
-- depends_on: {{ ref('plan_contexts') }}
with customers as (
    select accounts.customer_id, min(visitors.changed_at) as changed_at
    from (
        select visitor_id, customer_id from {{ ref('silver_visitor_accounts') }}
        union all
        select visitor_id, customer_id from {{ before('silver_visitor_accounts') }}
    ) as accounts
    inner join {{ ref('plan_visitors') }} as visitors on accounts.visitor_id = visitors.visitor_id
    group by accounts.customer_id
),

final as (
    select order_id, order_date from {{ ref('plan_contexts') }}
    union
    select orders.order_id, orders.order_date
    from ({{ whole('silver_order_context') }}) as orders
    inner join customers on orders.customer_id = customers.customer_id and orders.ordered_at >= customers.changed_at
)

select * from final
