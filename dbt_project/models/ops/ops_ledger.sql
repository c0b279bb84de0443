-- every number is counted from the table that holds the records; none is computed as the rest
with
{% for dataset in datasets() %}
{% set keys = ref('plan_keys_' ~ dataset) %}
{% set touched = "(select record_date from " ~ ref('plan_touched') ~ " where dataset = '" ~ dataset ~ "')" %}
{% set columns %}'{{ dataset }}' as dataset, batch_id, record_date, fate, {{ money_of(dataset) }}, {{ content_hash(column_names(dataset)) }} as content{% endset %}
{% set stay = duplicates_stay(dataset) %}
{{ dataset }} as (
    select {{ columns }} from {{ ref('records_' ~ dataset) }}
    union all
    select {{ columns }} from {{ before('records_' ~ dataset) }} as state
    anti join {{ keys }} as touched on {{ same('touched', 'state', contract(dataset).meta.key + ['record_date']) }}
    where record_date in ({{ literals(touched, 'record_date') }}){% if stay %} and fate <> 'duplicate'{% endif %}

    {% if stay -%}
    union all
    select {{ columns }} from {{ before('records_' ~ dataset) }}
    where record_date in ({{ literals(touched, 'record_date') }}) and fate = 'duplicate'
    {%- endif %}
),
{% endfor %}
refused as (
    select
        dataset, batch_id, record_date, fate, currency, amount, is_amount_read, {{ content_hash(['reasons', 'raw']) }} as content
    from {{ ref('records_refused') }}
    union all
    select
        state.dataset, state.batch_id, state.record_date, state.fate, currency, amount, is_amount_read,
        {{ content_hash(['reasons', 'raw']) }} as content
    from {{ before('records_refused') }} as state
    inner join {{ ref('plan_touched') }} as touched on {{ same('touched', 'state', ['dataset', 'record_date']) }}
    anti join {{ ref('plan_keys_refused') }} as keys on {{ same('keys', 'state', ['batch_id', 'record_no']) }}
),

records as (
    {% for dataset in datasets() %}select * from {{ dataset }}
    union all
    {% endfor -%}
    select * from refused
),

final as (
    select
        dataset, batch_id, record_date, fate, currency, is_amount_read,
        count(*) as records,
        cast(sum(amount) as decimal(38, 4)) as amount,
        cast(sum(content) as hugeint) as content
    from records
    group by dataset, batch_id, record_date, fate, currency, is_amount_read
)

select * from final
