-- depends_on: {{ ref('plan_batches') }} {{ ref('plan_keys_decisions') }}
with pool as (
    {% for dataset in datasets() -%}
    select '{{ dataset }}' as dataset, batch_id, record_no, record_date, reasons, raw, source_file, source_line,
        money_currency as currency, money_amount as amount, is_money_read as is_amount_read
    from ({{ entering(dataset) }})
    where reasons is not null
    union all
    {% endfor -%}
    select letters.dataset, letters.batch_id, letters.record_no, letters.record_date, reasons, raw, source_file, source_line,
        currency, amount, is_amount_read
    from {{ before('records_refused') }} as letters
    semi join {{ ref('plan_keys_refused') }} as touched using (batch_id, record_no)
    where letters.batch_id not in (select batch_id from {{ ref('plan_batches') }})
),

half_lines as (
    select dataset, batch_id, record_no, record_date, source_file, source_line from pool where {{ list_item('reasons', 1) }} = 'half_line'
),

withdrawn as (
    select batch_id from {{ ref('plan_rulings') }} where record_no is null and fate = 'withdrawn'
),

files as (
    select dataset, batch_id, {{ unnested_together({'source_file': 'inputs', 'bytes': 'input_bytes', 'records': 'input_records'}) }}
    from ({{ whole('ops_batches') }})
    where window_date in (select record_date from half_lines)
),

completed as (
    -- by size, never by arrival: a longer landing of the same file has the whole line, or more of it
    select distinct half_lines.batch_id, half_lines.record_no
    from half_lines
    inner join files as own using (dataset, batch_id, source_file)
    inner join files as longer
        on half_lines.dataset = longer.dataset
        and half_lines.source_file = longer.source_file
        and longer.bytes > own.bytes
        and longer.records >= half_lines.source_line
    where longer.batch_id not in (select batch_id from withdrawn)
),

forgotten as (
    -- the mark in bronze names the receipt, and the decision is about the receipt
    select target_batch_id as receipt, batch_id || ':' || record_no as forgotten_by
    from ({{ whole('records_decisions') }})
    where fate = 'current' and action = 'forget'
),

final as (
    select
        pool.*,
        coalesce(rulings.decision, forgotten.forgotten_by) as decision,
        case
            when rulings.fate is not null then rulings.fate
            when {{ list_item('pool.reasons', 1) }} in ('forgotten', 'not_selected') then 'withdrawn'
            when completed.batch_id is not null then 'superseded'
            else 'dead_letter'
        end as fate
    from pool
    left join completed using (batch_id, record_no)
    left join forgotten on {{ list_item('pool.reasons', 1) }} = 'forgotten' and regexp_extract(pool.raw, 'receipt (\w+)', 1) = forgotten.receipt
    left join ({{ rulings_by_record('pool') }}) as rulings using (batch_id, record_no)
)

select * from final
