-- One word for each customer. Whether somebody is being lost is judged by their own rhythm alone (churn_risk); only of the others
-- do the scores among all customers say more. So that the two never contradict each other here.
with final as (
    select
        customer_id,
        case
            when churn_risk = 'high' then 'lost'
            when churn_risk = 'medium' then 'at risk'
            when recency_score >= 4 and frequency_score >= 4 and monetary_score >= 4 then 'champion'
            when frequency_score >= 4 then 'loyal'
            when orders = 1 and recency_score >= 4 then 'new'
            else 'regular'
        end as standing
    from {{ ref('gold_customers') }}
)

select * from final
