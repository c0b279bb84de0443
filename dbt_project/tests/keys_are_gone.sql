-- Keys that the source has no more: deleted there, and so out of silver and gold. They are worth a look where nobody expects any.
{{ config(severity='warn', meta={'finding': 'the source has deleted these keys, so silver and gold no longer have them. Next: nothing, if the deletions are meant'}) }}
{% for dataset in datasets() %}
select '{{ dataset }}' as dataset, batch_id, count(*) as keys, array_to_string(list(concat_ws(' ', {{ contract(dataset).meta.key | join(', ') or 'null' }}) order by record_no)[:5], ', ') as first_keys
from {{ ref('records_' ~ dataset) }}
where is_deleted and fate = 'current' and batch_id in (select batch_id from {{ ref('plan_batches') }} where is_entering)
group by batch_id
{{ 'union all' if not loop.last }}
{% endfor %}
