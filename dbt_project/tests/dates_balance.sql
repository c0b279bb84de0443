-- A batch's records of one date, their money by currency and their content, counted where they were parsed, are those that
-- have a fate. Which record it is, says `clearwell ledger --recount`.
-- depends_on: {{ ref('plan_batches') }}
{{ config(severity='error', meta={'finding': 'the records that were parsed differ from those that have a fate. Next: clearwell ledger --recount', 'on_failure': 'stop'}) }}
with parsed as (
    select dataset, batch_id, record_date, currency, is_amount_read, sum(records) as records, sum(amount) as amount, sum(content) as content
    from ({{ whole('ops_batch_dates') }})
    semi join {{ ref('plan_touched') }} as touched using (dataset, record_date)
    group by all
),

cells as (
    select dataset, batch_id, record_date, currency, is_amount_read, sum(records) as records, sum(amount) as amount, sum(content) as content
    from {{ ref('ops_ledger') }}
    group by all
),

final as (
    (select 'parsed, and without a fate' as what, * from parsed except select 'parsed, and without a fate', * from cells)
    union all
    (select 'with a fate, and never parsed' as what, * from cells except select 'with a fate, and never parsed', * from parsed)
)

select * from final
