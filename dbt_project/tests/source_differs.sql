-- Any difference from the source is worth a look.
{{ config(severity='warn') }}
select 'records' as measure, dataset, record_date, null as currency, source_records as source, source_difference as difference
from {{ ref('ops_reconciliation') }}
where source_difference <> 0
union all
select 'amount' as measure, 'order_items' as dataset, order_date as record_date, currency, source_amount as source, source_difference as difference
from {{ ref('ops_reconciliation_amounts') }}
where source_difference <> 0
