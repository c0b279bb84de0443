-- A date is held as long as a batch of its window is: so dates without a record of this build change as well.
with holds_changed as (
    select state.dataset, state.record_date
    from {{ before('ops_reconciliation') }} as state
    where state.is_held <> {{ is_held('state') }}
),

final as (
    select dataset, record_date from {{ ref('plan_touched') }}
    union
    select unnest(['orders', 'order_items']) as dataset, order_date as record_date from {{ ref('plan_order_dates') }}
    union
    select dataset, record_date from {{ ref('plan_dates') }}
    union
    select dataset, event_date as record_date from {{ ref('plan_keys_source_counts') }}
    union
    select dataset, record_date from holds_changed
)

select * from final
