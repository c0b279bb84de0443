-- depends_on: {{ ref('plan_keys_decisions') }}
-- The decisions in force after this build. A correction is in force while it is valid and not withdrawn. Of several
-- corrections of one record only the latest is; the earlier ones are superseded like the record.
{% set correcting = literals("(select correcting_batch_id from (" ~ whole('records_decisions') ~ "))", 'correcting_batch_id') %}
with decisions as (
    select {{ star_replacing({'decision': "batch_id || ':' || record_no"}) }} from ({{ whole('records_decisions') }})
),

withdrawals as (
    select target_dataset as dataset, target_batch_id as batch_id, target_record_no as record_no, 'withdrawn' as fate, decision
    from decisions
    where fate = 'current' and action = 'withdraw'
),

valid as (
    select cast(null as string) as dataset, cast(null as string) as batch_id, cast(null as bigint) as record_no where false
    {%- for dataset in ruled_datasets() %}
    union all
    select '{{ dataset }}', batch_id, record_no from {{ ref('staging_' ~ dataset) }}
    where reasons is null and batch_id in ({{ correcting }})
    union all
    select '{{ dataset }}', batch_id, record_no from {{ before('records_' ~ dataset) }}
    where batch_id in ({{ correcting }}) and batch_id not in (select batch_id from {{ ref('plan_batches') }})
    {%- endfor %}
),

corrections as (
    select decisions.* from decisions
    inner join valid
        on decisions.target_dataset = valid.dataset
        and decisions.correcting_batch_id = valid.batch_id
        and decisions.correcting_record_no = valid.record_no
    where
        decisions.action = 'correct'
        and not exists (
            select 1 from withdrawals
            where
                withdrawals.batch_id = decisions.correcting_batch_id
                and (withdrawals.record_no is null or withdrawals.record_no = decisions.correcting_record_no)
        )
),

ruling as (
    select * from corrections
    qualify row_number() over (
        partition by target_dataset, target_batch_id, target_record_no order by decided_at desc, decision desc
    ) = 1
),

superseded as (
    select target_dataset as dataset, target_batch_id as batch_id, target_record_no as record_no, 'superseded' as fate, decision
    from ruling
    union all
    select corrections.target_dataset, corrections.correcting_batch_id, corrections.correcting_record_no, 'superseded', ruling.decision
    from corrections
    inner join ruling using (target_dataset, target_batch_id, target_record_no)
    where (corrections.correcting_batch_id, corrections.correcting_record_no) <> (ruling.correcting_batch_id, ruling.correcting_record_no)
),

final as (
    select * from withdrawals
    union all
    select * from superseded
)

select * from final
