with final as (
    select distinct session_date from {{ ref('plan_sessions') }}
)

select * from final
