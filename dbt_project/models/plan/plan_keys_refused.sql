-- depends_on: {{ ref('plan_batches') }} {{ ref('plan_decided') }}
{% set window_dates = literals("(" ~ moved_batches() ~ ")", 'window_date') %}
with entering as (
    {% for dataset in datasets() -%}
    select '{{ dataset }}' as dataset, batch_id, record_no, record_date from ({{ entering(dataset) }}) where reasons is not null
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

leaving as (
    select dataset, batch_id, record_no, record_date from {{ before('records_refused') }}
    where batch_id in (select batch_id from {{ ref('plan_batches') }} where is_leaving)
),

decided as (
    select letters.dataset, letters.batch_id, letters.record_no, letters.record_date
    from {{ before('records_refused') }} as letters
    semi join {{ ref('plan_decided') }} as decided
        on letters.batch_id = decided.batch_id and (decided.record_no is null or decided.record_no = letters.record_no)
),

moved_files as (
    select dataset, {{ unnested('inputs') }} as source_file from ({{ moved_batches() }})
),

half_lines as (
    -- the fate of a half line depends on the other landings of its file, all of the same hour
    select letters.dataset, letters.batch_id, letters.record_no, letters.record_date
    from {{ before('records_refused') }} as letters
    semi join moved_files using (dataset, source_file)
    where letters.record_date in ({{ window_dates }}) and {{ list_item('letters.reasons', 1) }} = 'half_line'
),

final as (
    select * from entering
    union
    select * from leaving
    union
    select * from decided
    union
    select * from half_lines
)

select * from final
