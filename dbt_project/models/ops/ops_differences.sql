-- depends_on: {{ ref('plan_keys_source_counts') }} {{ ref('plan_keys_decisions') }}
-- A source's count and what a landing took, if they differ. A later count that agrees closes the difference. Accepting it
-- accepts exactly this difference.
with counts as (
    select * from ({{ whole('ops_source_counts') }})
    qualify counted_at = max(counted_at) over (partition by dataset, event_date)
),

accepted as (
    select
        counted.dataset, counted.event_date, counted.currency,
        counted.records - counted.landed_records as records_difference,
        coalesce(counted.amount, 0) - coalesce(counted.landed_amount, 0) as amount_difference,
        max_by(decisions.reason, decisions.decided_at) as reason
    from ({{ whole('records_decisions') }}) as decisions
    inner join ({{ whole('records_source_counts') }}) as counted
        on decisions.target_batch_id = counted.batch_id and decisions.target_record_no = counted.record_no
    where decisions.fate = 'current' and decisions.subject = 'difference' and decisions.action = 'accept'
    group by all
),

differing as (
    select
        *,
        records - landed_records as records_difference,
        coalesce(amount, 0) - coalesce(landed_amount, 0) as amount_difference
    from counts
),

final as (
    select
        differing.dataset,
        differing.event_date,
        differing.currency,
        differing.records as source_records,
        differing.landed_records,
        differing.records_difference,
        differing.amount as source_amount,
        differing.landed_amount,
        differing.amount_difference,
        abs(differing.records_difference) > 0.001 * differing.records
        or abs(differing.amount_difference) > 0.001 * abs(differing.amount) as is_alert,
        accepted.dataset is not null as is_accepted,
        accepted.reason as accepted_because,
        differing.note,
        differing.counted_at,
        differing.batch_id,
        differing.record_no
    from differing
    left join accepted
        on {{ same('accepted', 'differing', ['dataset', 'event_date', 'currency', 'records_difference', 'amount_difference']) }}
    where differing.records_difference <> 0 or differing.amount_difference <> 0
)

select * from final
