-- depends_on: {{ ref('plan_keys_decisions') }}
-- The records and batches whose fate a decision may have changed: the targets of this build's decisions; and, if a correction
-- enters, leaves or is withdrawn, the record that it corrects and the record's other corrections.
with decided as (
    select distinct target_dataset as dataset, target_batch_id as batch_id, target_record_no as record_no
    from {{ ref('plan_keys_decisions') }}
),

corrections as (
    select target_dataset as dataset, target_batch_id as batch_id, target_record_no as record_no, correcting_batch_id, correcting_record_no
    from ({{ whole('records_decisions') }})
    where action = 'correct'
),

moved as (
    select dataset, batch_id, cast(null as bigint) as record_no from {{ ref('plan_batches') }}
    union all
    select * from decided
),

affected as (
    select distinct corrections.dataset, corrections.batch_id, corrections.record_no
    from corrections
    inner join moved
        on corrections.correcting_batch_id = moved.batch_id
        and (moved.record_no is null or moved.record_no = corrections.correcting_record_no)
),

corrected as (
    select * from decided
    union
    select * from affected
),

siblings as (
    select corrections.dataset, corrections.correcting_batch_id as batch_id, corrections.correcting_record_no as record_no
    from corrections
    inner join corrected on {{ same('corrected', 'corrections', ['dataset', 'batch_id', 'record_no']) }}
),

final as (
    select * from corrected
    union
    select * from siblings
)

select * from final
