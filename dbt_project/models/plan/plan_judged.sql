-- The dates that are judged again: what is usual for a date depends on the sixteen weeks before it. A window that lands without
-- records changes no number, but whether its date is known; and a later window, that the date of the latest before it is over.
with changed as (
    select record_date from {{ ref('plan_measured') }}
    union
    select {{ anomaly_date('target_batch_id') }} as record_date from {{ ref('plan_keys_decisions') }} where subject = 'anomaly'
    union
    select cast(unnest(range(window_date, window_end, interval 1 day)) as date) as record_date from {{ ref('plan_batches') }}
    union
    select cast(max(window_start) as date) as record_date from ({{ before('ops_batches') }}) where source not in ('decisions', 'corrections') group by dataset
),

measured as (
    select distinct cast(period_start as date) as record_date from ({{ whole('ops_measures') }})
    union
    select record_date from changed
),

final as (
    select distinct measured.record_date
    from measured
    semi join changed
        on measured.record_date >= changed.record_date and measured.record_date <= changed.record_date + {{ usual_days_back() }}
)

select * from final
