-- One word for each customer. Whether a customer is being lost depends only on their own rhythm of orders (churn_risk); the
-- scores among all customers classify only the others. So the two never contradict each other.
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
