-- What the source counted later, on its own: over 0.1 % apart, in records or in money, and nothing is published.
-- What is held is known to be missing. What landed after the count explains more records than it, never fewer, and money
-- of any amount; `source_differs` shows it until the source is counted again.
{{ config(severity='error') }}
with records as (
    select 'records' as measure, dataset, record_date, null as currency, source_records as source, source_difference as difference
    from {{ ref('ops_reconciliation') }}
    where abs(source_difference) > 0.001 * source_records and not is_held and (source_difference > 0 or is_counted_since)
),

-- money that cannot be read cannot be compared; its records are
amounts as (
    select 'amount' as measure, 'order_items' as dataset, order_date as record_date, currency, source_amount as source, source_difference as difference
    from {{ ref('ops_reconciliation_amounts') }}
    where
        abs(source_difference) > 0.001 * abs(source_amount) and unread_records = 0
        and order_date not in (
            select record_date from {{ ref('ops_reconciliation') }}
            where dataset = 'order_items' and (is_held or not is_counted_since)
        )
),

final as (
    select * from records
    union all
    select * from amounts
)

select * from final
