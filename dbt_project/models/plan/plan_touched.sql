-- every date of the ledger that this build recounts
with keys as (
    {% for dataset in datasets() -%}
    select distinct '{{ dataset }}' as dataset, record_date from {{ ref('plan_keys_' ~ dataset) }}
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

refused as (
    {% for dataset in datasets() -%}
    select distinct '{{ dataset }}' as dataset, record_date from {{ ref('staging_' ~ dataset) }} where reasons is not null
    union all
    {% endfor -%}
    select letters.dataset, letters.record_date from {{ before('silver_dead_letters') }} as letters
    where exists (select 1 from {{ ref('plan_batches') }} as batches where batches.batch_id = letters.batch_id and batches.is_leaving)
),

final as (
    select * from keys
    union
    select * from refused
)

select * from final
