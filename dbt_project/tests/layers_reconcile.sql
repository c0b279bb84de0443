-- Inside Clearwell everything balances exactly, in records and in money.
{{ config(severity='error', meta={'on_failure': 'stop'}) }}
select * from {{ ref('ops_reconciliation') }}
where fates_difference <> 0 or coalesce(gold_difference, 0) <> 0 or coalesce(gold_amount_difference, 0) <> 0
