with final as (
    select * exclude (record_date, fate) from {{ ref('records_products') }} where fate = 'current'
)

select * from final
