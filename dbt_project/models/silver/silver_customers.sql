with final as (
    select * exclude (record_date, fate) from {{ ref('records_customers') }} where fate = 'current'
)

select * from final
