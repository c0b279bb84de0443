-- the dates that silver and gold are made of: those that this build rebuilt and that still have rows, and the others of the plan
with rebuilt as (
    select 'orders' as dataset, order_date as record_date from {{ ref('plan_order_dates') }} where order_date is not null
    union all
    select 'clickstream' as dataset, event_date as record_date from {{ ref('plan_event_dates') }}
),

filled as (
    select distinct 'orders' as dataset, order_date as record_date from {{ ref('silver_orders') }}
    union all
    select distinct 'clickstream' as dataset, event_date as record_date from {{ ref('silver_clickstream') }}
),

final as (
    select dataset, record_date, '{{ var("build_id", "dev") }}' as build_id, '{{ var("model_version", "dev") }}' as model_version
    from rebuilt
    inner join filled using (dataset, record_date)
    union all
    select state.dataset, state.record_date, state.build_id, state.model_version
    from {{ before('ops_dates') }} as state
    semi join {{ ref('plan_reconciled') }} as dates on {{ same('dates', 'state', ['dataset', 'record_date']) }}
    anti join rebuilt on {{ same('rebuilt', 'state', ['dataset', 'record_date']) }}
)

select * from final
