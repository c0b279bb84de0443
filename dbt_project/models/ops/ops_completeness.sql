-- depends_on: {{ ref('plan_batches') }} {{ ref('plan_keys_source_counts') }}
-- how far each dataset is complete: up to the first missing or incomplete window
with batches as (
    -- corrections do not cover a window of their source
    select * from ({{ whole('ops_batches') }}) where source not in ('decisions', 'corrections')
),

waiting as (
    select dataset, window_start, landed_at, unnest(waiting) as path from batches
),

settled as (
    select dataset, window_start, landed_at, unnest(inputs) as path from batches
    union
    select dataset, window_start, landed_at, unnest(resolved) as path from batches
),

unsettled as (
    select distinct waiting.dataset, waiting.window_start
    from waiting
    anti join settled
        on waiting.dataset = settled.dataset and waiting.window_start = settled.window_start and waiting.path = settled.path
        -- a file may wait, land, and wait again
        and settled.landed_at >= waiting.landed_at
),

short as (
    -- a held batch makes its window incomplete, whatever else has landed for it
    select dataset, window_start from {{ ref('ops_held') }} where is_open
    union
    select dataset, window_start from unsettled
),

windows as (
    select distinct dataset, window_start, window_end from batches
    where not exists (select 1 from short where short.dataset = batches.dataset and short.window_start = batches.window_start)
),

reach as (
    select
        *,
        max(window_end) over (
            partition by dataset order by window_start, window_end rows between unbounded preceding and 1 preceding
        ) as covered_until
    from windows
),

gaps as (
    select dataset, covered_until as gap_start, window_start as gap_end from reach where window_start > covered_until
),

covered as (
    -- a file may wait in an hour of a day that landed as one batch
    select unsettled.dataset, unsettled.window_start
    from unsettled
    semi join windows
        on unsettled.dataset = windows.dataset
        and unsettled.window_start >= windows.window_start and unsettled.window_start < windows.window_end
),

ends as (
    select dataset, min(gap_start) as complete_until
    from (select dataset, gap_start from gaps union all select dataset, window_start from covered)
    group by dataset
),

counted as (
    select dataset, max(event_date) + 1 as counted_until from ({{ whole('ops_source_counts') }}) group by dataset
),

differing as (
    select
        dataset,
        list(distinct event_date order by event_date) as unreconciled_dates,
        min(event_date) as first_date
    from {{ ref('ops_differences') }}
    where is_alert and not is_accepted
    group by dataset
),

final as (
    select
        datasets.dataset,
        min(windows.window_start) as complete_from,
        coalesce(any_value(ends.complete_until), max(windows.window_end)) as complete_until,
        max(windows.window_end) as latest_window_end,
        count(distinct gaps.gap_start) as holes,
        (select count(*) from short where short.dataset = datasets.dataset) as short_windows,
        coalesce(any_value(differing.unreconciled_dates), []) as unreconciled_dates,
        case
            -- least() leaves out what is null
            when any_value(counted.counted_until) is not null and max(windows.window_end) is not null
                then least(
                    coalesce(any_value(ends.complete_until), max(windows.window_end)),
                    any_value(counted.counted_until),
                    any_value(differing.first_date)
                )
        end as reconciled_until
    from (select distinct dataset from batches where dataset <> 'source_counts') as datasets
    left join windows using (dataset)
    left join gaps using (dataset)
    left join ends using (dataset)
    left join counted using (dataset)
    left join differing using (dataset)
    group by datasets.dataset
)

select * from final
