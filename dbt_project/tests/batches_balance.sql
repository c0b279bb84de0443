-- Nothing is lost: a batch's cells of the ledger add up to its manifest, and to what its source counted.
{{ config(severity='error', meta={'finding': 'the ledger of these batches does not add up to their manifests or to their source\'s counts. Next: clearwell ledger --recount', 'on_failure': 'stop', 'promise': 'every record has exactly one fate'}) }}
-- depends_on: {{ ref('plan_touched') }} {{ ref('plan_batches') }}
with batches as (
    {{ whole('ops_batches') }}
),

touched_batches as (
    select distinct dataset, batch_id from {{ ref('ops_ledger') }}
    union
    select dataset, batch_id from {{ ref('plan_batches') }} where is_entering
),

cells as (
    select dataset, batch_id, sum(records) as records_with_a_fate
    from ({{ whole('ops_ledger') }})
    group by dataset, batch_id
),

final as (
    select
        batches.dataset, batches.batch_id, counted_by_source, records_written,
        coalesce(records_with_a_fate, 0) as records_with_a_fate
    from touched_batches
    inner join batches using (dataset, batch_id)
    left join cells using (dataset, batch_id)
    where counted_by_source <> records_written or records_written <> coalesce(records_with_a_fate, 0)
)

select * from final
