-- Any difference between what a source counts and what a landing took in the same view of it is worth a look.
{{ config(severity='warn', meta={'finding': 'the source\'s count differs from what landed. Next: clearwell sweep --from DATE --to DATE, then clearwell build'}) }}
select * from {{ ref('ops_differences') }}
where not is_accepted and batch_id in (select batch_id from {{ ref('plan_batches') }})
