-- depends_on: {{ ref('plan_batches') }}
-- the dates that silver and gold rebuild: those whose current rows differ after this build, and those of replayed batches
with
{% for dataset in datasets() %}
{{ dataset }}_before as (
    {{ current_before(dataset, only=['record_date', 'batch_id', 'record_no']) }}
),

{{ dataset }}_after as (
    select record_date, batch_id, record_no from {{ ref('records_' ~ dataset) }} where fate = 'current' and not is_deleted
),

{{ dataset }} as (
    {{ differing(dataset ~ '_before', dataset ~ '_after', ['record_date', 'batch_id', 'record_no']) }}
),

{{ dataset }}_replayed as (
    select record_date from {{ before('records_' ~ dataset) }} where batch_id in ({{ leaving_batches(dataset) }})
),
{% endfor %}
final as (
    {% for dataset in datasets() -%}
    select '{{ dataset }}' as dataset, record_date from {{ dataset }}
    union
    select '{{ dataset }}', record_date from {{ dataset }}_replayed
    {{ 'union' if not loop.last }}
    {% endfor -%}
)

select * from final
