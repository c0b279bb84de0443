-- A batch's records of one date, counted where they were parsed, are the records of that date that have a fate.
{{ config(severity='error') }}
-- depends_on: {{ ref('plan_touched') }} {{ ref('plan_batches') }}
with parsed as (
    {{ whole('ops_batch_dates') }}
),

cells as (
    select dataset, batch_id, record_date, sum(records) as records_with_a_fate
    from {{ ref('ops_ledger') }}
    group by dataset, batch_id, record_date
),

final as (
    select dataset, batch_id, record_date, parsed.records, records_with_a_fate
    from cells
    full join (select parsed.* from parsed semi join {{ ref('plan_touched') }} as touched using (dataset, record_date)) as parsed
        using (dataset, batch_id, record_date)
    where parsed.records is distinct from records_with_a_fate
)

select * from final
