with final as (
    select * exclude (record_date, decision, fate) from {{ ref('records_products') }} where fate = 'current'
)

select * from final
