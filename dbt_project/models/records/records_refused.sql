-- depends_on: {{ ref('plan_batches') }}
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

final as (
    select pool.*, rulings.decision, coalesce(rulings.fate, 'dead_letter') as fate
    from pool
    left join ({{ rulings_by_record('pool') }}) as rulings using (batch_id, record_no)
)

select * from final
