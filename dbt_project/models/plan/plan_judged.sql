-- The dates of each dataset that are judged again: what is usual for a date depends on the sixteen weeks before it. A window that lands
-- without records changes no number, but its dates are known then, and the last date of the window before it is over.
with changed as (
    select dataset, record_date from {{ ref('plan_measured') }}
    union
    select target_dataset as dataset, {{ anomaly_date('target_batch_id') }} as record_date from {{ ref('plan_keys_decisions') }} where subject = 'anomaly'
    union
    select dataset, cast(unnest(range(window_date, window_end, interval 1 day)) as date) as record_date from {{ ref('plan_batches') }}
    union
    select dataset, cast(max(window_end) as date) as record_date from ({{ before('ops_batches') }}) where source not in ('decisions', 'corrections') group by dataset
),

measured as (
    select distinct dataset, cast(period_start as date) as record_date from ({{ whole('ops_measures') }})
    union
    select dataset, record_date from changed
),

final as (
    select distinct measured.dataset, measured.record_date
    from measured
    semi join changed
        on
            measured.dataset = changed.dataset
            and measured.record_date >= changed.record_date and measured.record_date <= changed.record_date + {{ usual_days_back() }}
)

select * from final
