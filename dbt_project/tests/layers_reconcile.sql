-- Inside Clearwell everything balances exactly, in records and in money.
{{ config(severity='error', meta={'finding': 'records or money differ between two layers. Next: clearwell ledger --recount', 'on_failure': 'stop'}) }}
select * from {{ ref('ops_reconciliation') }}
where fates_difference <> 0 or coalesce(gold_difference, 0) <> 0 or coalesce(gold_amount_difference, 0) <> 0
