-- Any difference between what a source counts and what a landing took in the same view of it is worth a look.
{{ config(severity='warn') }}
select * from {{ ref('ops_differences') }}
where not is_accepted and batch_id in (select batch_id from {{ ref('plan_batches') }})
