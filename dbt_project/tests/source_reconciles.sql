-- What the source counted later, on its own: over 0.1 % apart, in records or in money, and nothing is published.
{{ config(severity='error') }}
select 'records' as measure, dataset, record_date, null as currency, source_records as source, source_difference as difference
from {{ ref('ops_reconciliation') }}
where abs(source_difference) > 0.001 * source_records
union all
select 'amount' as measure, 'order_items' as dataset, order_date as record_date, currency, source_amount as source, source_difference as difference
from {{ ref('ops_reconciliation_amounts') }}
where abs(source_difference) > 0.001 * abs(source_amount)
