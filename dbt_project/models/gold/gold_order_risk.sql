with final as (
    select
        scores.order_id,
        scores.order_date,
        scores.score,
        scores.reasons,
        scores.scored_by,
        features.customer_id,
        features.country,
        features.order_amount_usd
    from {{ ref('silver_order_scores') }} as scores
    inner join {{ ref('silver_order_features') }} as features on scores.order_id = features.order_id
    where scores.score >= {{ var('order_risk_threshold') }}
)

select * from final
