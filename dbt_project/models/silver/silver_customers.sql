with final as (
    select * exclude (record_date, decision, fate) from {{ ref('records_customers') }} where fate = 'current'
)

select * from final
