-- A tenth of a batch refused is no dirt, even where the batch is too small for the breaker: a column may have changed.
{{ config(severity='warn', meta={'finding': 'more than a tenth of these batches\' records are refused. Next: clearwell dead-letters suggest'}) }}
select dataset, batch_id, count(*) as refused_records, any_value(batches.records_written) as records, any_value(reasons) as example
from {{ ref('records_refused') }}
inner join {{ ref('plan_batches') }} as batches using (dataset, batch_id)
where batches.is_entering and fate = 'dead_letter'
group by dataset, batch_id
having count(*) > 0.1 * any_value(batches.records_written)
