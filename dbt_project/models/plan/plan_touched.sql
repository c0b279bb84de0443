-- every date of the ledger that this build recounts
with keys as (
    {% for dataset in datasets() -%}
    select distinct '{{ dataset }}' as dataset, record_date from {{ ref('plan_keys_' ~ dataset) }}
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

refused as (
    select distinct dataset, record_date from {{ ref('plan_keys_refused') }}
),

final as (
    select * from keys
    union
    select * from refused
)

select * from final
