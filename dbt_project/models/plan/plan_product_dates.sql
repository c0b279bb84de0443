-- the dates of gold.daily_products to rebuild: those of touched orders and events, those whose stock cover looks back to them,
-- and those from which on a product had another stock
with changed as (
    select order_date as activity_date from {{ ref('plan_order_dates') }} where order_date is not null
    union
    select event_date as activity_date from {{ ref('plan_event_dates') }}
),

history as (
    select product_id, stock_quantity, valid_from, valid_to from {{ ref('silver_product_history') }}
),

history_before as (
    select product_id, stock_quantity, valid_from, valid_to from {{ before('silver_product_history') }}
    where product_id in (select product_id from {{ ref('plan_keys_products') }})
),

-- the periods of a stock level that were added or removed; if only a period's end moved, a neighbouring period is among these
stocked as (
    {% for one, other in [('history', 'history_before'), ('history_before', 'history')] -%}
    select * from {{ one }}
    anti join {{ other }} on {{ same(one, other, ['product_id', 'stock_quantity', 'valid_from']) }}
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

restocked as (
    select state.activity_date
    from {{ before('gold_daily_products') }} as state
    inner join stocked
        on state.product_id = stocked.product_id
        and state.activity_date >= cast(stocked.valid_from as date)
        and state.activity_date <= coalesce(cast(stocked.valid_to as date), date '9999-12-31')
),

final as (
    {{ reached('changed', 'activity_date', 'gold_daily_products') }}
    union
    select activity_date from restocked
)

select * from final
