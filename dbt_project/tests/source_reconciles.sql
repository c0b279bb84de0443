-- Over 0.1 % apart from the source, in records or in money: an alert. What is published is true to what was received, so it stops
-- nothing; the date is not reconciled until a later count agrees, or a person accepts the difference.
{{ config(severity='error', meta={'finding': 'the source\'s count differs from what landed by more than 0.1 %. Next: clearwell sweep --from DATE --to DATE, then clearwell build; or clearwell builds accept FINDING --reason TEXT', 'on_failure': 'alert'}) }}
select * from {{ ref('ops_differences') }}
where is_alert and not is_accepted and batch_id in (select batch_id from {{ ref('plan_batches') }})
