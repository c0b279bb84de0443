-- The orders whose features are rebuilt: those with a changed context; those of the customers of a changed visitor, from the
-- time of the change on; and those whose amount as a multiple of the usual amount changed.
-- depends_on: {{ ref('plan_contexts') }} {{ ref('plan_order_dates') }} {{ ref('silver_order_facts') }}
{% set moved %}(select order_date from {{ ref('plan_usual_amounts') }} where usual_usd is distinct from usual_usd_before){% endset %}
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
    union
    -- in the state only: the orders that the build makes have a changed context anyway
    select orders.order_id, orders.order_date
    from {{ before('silver_order_context') }} as orders
    inner join {{ ref('plan_usual_amounts') }} as usual on orders.order_date = usual.order_date
    where
        orders.order_date in ({{ literals(moved, 'order_date') }})
        and {{ times_usual('orders.ordered_usd', 'usual.usual_usd') }}
        is distinct from {{ times_usual('orders.ordered_usd', 'usual.usual_usd_before') }}
)

select * from final
