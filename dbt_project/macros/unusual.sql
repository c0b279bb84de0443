{# Judge measured numbers against what is usual for their day or hour of the week.

   `measures` has one row per dataset, subject, measure and period ("day" or "hour") with `amount`, and for a ratio its `base`.
   `dates` are those to judge, by dataset; `covered` has, by dataset, the dates that landed and `known_until`, the time up to which each is
   known. An hour or a day before that counts as zero if it has no row.

   Expected is the median of the same weekday (and hour) of the eight weeks before, each scaled by how the level of the measure
   has changed since: the median of its last 56 days, which an outage of three weeks does not move. With less than four such
   weeks, the 28 days before are taken instead, and only what lies well outside of all of them is told; with less than seven days
   nothing is judged. The spread is the median absolute deviation, but at least what chance alone does: the square root of a
   count, the standard error of a share. An hour must also lie outside of what is usual for the hours beside it: when clocks are
   put forward or back, the hours that people keep move by one in UTC. #}
{% macro unusual(measures, dates, covered) %}
with judged as (
    select distinct dataset, record_date from {{ dates }} where record_date is not null
),

read_dates as (
    select distinct dataset, record_date - cast(days as integer) as record_date from judged, range({{ 1 + usual_days_back() }}) as back (days)
),

series as (
    select dataset, subject, measure, kind, period, min(cast(period_start as date)) as first_date
    from {{ measures }}
    group by all
),

periods as (
    select
        series.*, covered.record_date, covered.record_date + to_hours(cast(hours as integer)) as period_start,
        period_start + case series.period when 'hour' then interval 1 hour else interval 1 day end <= covered.known_until as is_over,
        -- its counts and sums are not usual, and not judged but for a day of zero
        series.kind <> 'ratio' and {% if var('unusual').holidays %}covered.record_date in ({{ listed(var('unusual').holidays) }}){% else %}false{% endif %} as is_holiday
    from series
    inner join {{ covered }} as covered on series.dataset = covered.dataset and covered.record_date >= series.first_date
    inner join read_dates on covered.dataset = read_dates.dataset and covered.record_date = read_dates.record_date
    cross join range(24) as day (hours)
    where series.period = 'hour' or hours = 0
),

measured as (
    select
        periods.*,
        case when is_over then cast(coalesce(measures.amount, 0) as double) end as amount,
        case when is_over then cast(coalesce(measures.base, 0) as double) end as base
    from periods
    left join {{ measures }} as measures using (dataset, subject, measure, period, period_start)
),

-- what is too little for one day may be enough for seven
with_weeks as (
    select dataset, subject, measure, kind, period, record_date, period_start, is_holiday, amount, base from measured
    union all
    select
        dataset, subject, measure, kind, 'week' as period, record_date, period_start - interval 6 days as period_start,
        bool_or(is_holiday) over week as is_holiday, sum(amount) over week as amount, sum(base) over week as base
    from measured
    where period = 'day' and kind <> 'sum'
    window week as (
        partition by dataset, subject, measure order by record_date range between interval 6 days preceding and current row
    )
    qualify count(amount) over week = 7
),

-- a ratio of nothing is not known, nor is that of negative sales
filled as (
    select *, case when kind <> 'ratio' then amount when base > 0 then amount / base end as value from with_weeks
),

levels as (
    select
        dataset, subject, measure, record_date,
        median(case when not is_holiday then value end) over (
            partition by dataset, subject, measure order by record_date range between interval 56 days preceding and interval 1 day preceding
        ) as level
    from filled
    where period = 'day' and kind <> 'ratio'
),

levelled as (
    select filled.*, coalesce(levels.level, 0) as level
    from filled
    left join levels using (dataset, subject, measure, record_date)
),

-- from each day or week to the one seven days later: all weekdays together say more of chance than eight numbers of one weekday
changed as (
    select
        dataset, subject, measure, kind, period, period_start, level,
        abs(per_level - first_value(per_level) over (
            partition by dataset, subject, measure, period order by period_start range between interval 7 days preceding and interval 7 days preceding
        )) as change
    from (
        select *, case when kind = 'ratio' then value when level > 0 then value / level end as per_level
        from levelled
        where period <> 'hour' and not is_holiday
    )
),

changes as (
    select
        dataset, subject, measure, period, period_start,
        case kind when 'ratio' then 1 else level end * median(change) over (
            partition by dataset, subject, measure, period order by period_start range between interval 49 days preceding and interval 1 day preceding
        ) as usual_change
    from changed
),

-- each period to judge, once for each that it is compared with. Days in a list stay in front of the next join: behind it, that would
-- be each period of a history with every other
counted_back as (
    select *, period_start - to_days(cast(days as integer)) as earlier_start
    from (
        select levelled.*, {{ unnested(list_of(range(1, 29) | list + [35, 42, 49, 56])) }} as days
        from levelled
        inner join judged using (dataset, record_date)
        where value is not null
    )
),

compared as (
    select
        now.dataset, now.subject, now.measure, now.kind, now.period, now.period_start, now.is_holiday, now.value, now.base,
        count(*) filter (where days % 7 = 0) as weeks,
        count(*) filter (where days <= 28) as days,
        median({{ scaled() }}) filter (where days % 7 = 0) as week_median,
        mad({{ scaled() }}) filter (where days % 7 = 0) as week_mad,
        quantile_disc({{ scaled() }}, 0.25) filter (where days % 7 = 0) as week_low,
        min({{ scaled() }}) filter (where days % 7 = 0) as week_least,
        median({{ scaled() }}) filter (where days <= 28) as day_median,
        mad({{ scaled() }}) filter (where days <= 28) as day_mad,
        min({{ scaled() }}) filter (where days <= 28) as day_low,
        max({{ scaled() }}) filter (where days <= 28) as day_high
    from counted_back as now
    inner join levelled as earlier
        on
            now.dataset = earlier.dataset and now.subject = earlier.subject and now.measure = earlier.measure
            and now.period = earlier.period and earlier.period_start = now.earlier_start
    where earlier.value is not null and not earlier.is_holiday
    group by all
),

usual as (
    select
        dataset, subject, measure, kind, period, period_start, is_holiday, value, base,
        -- a spread of few numbers may be far too small by chance
        1 + case when weeks >= 4 then 2.0 / weeks else 3.0 / days end as doubt,
        -- while the weekday is not known: least of all days so far, and of the same weekday
        case when weeks between 1 and 3 and value < day_low then week_least end as least_before,
        case when weeks >= 4 then week_median else day_median end as expected,
        case when weeks >= 4 then week_mad else day_mad end as deviation,
        case when weeks >= 4 then week_low else day_low end as low,
        -- the weekday is not known yet: what has been seen on any day is usual
        case when weeks >= 4 then expected when value < expected then least(expected, day_low) else greatest(expected, day_high) end as nearest_then
    from compared
    where weeks >= 4 or days >= 7
),

-- the day is taken as a circle, so that an hour needs the numbers of no other day
beside as (
    select
        * exclude (nearest_then, hour_before, hour_after),
        case
            when period <> 'hour' then nearest_then
            when value < expected then least(nearest_then, hour_before, hour_after)
            else greatest(nearest_then, hour_before, hour_after)
        end as nearest
    from (
        select
            *,
            coalesce(lag(expected) over in_order, last_value(expected) over whole_day) as hour_before,
            coalesce(lead(expected) over in_order, first_value(expected) over whole_day) as hour_after
        from usual
        window
            in_order as (partition by dataset, subject, measure, period, cast(period_start as date) order by period_start),
            whole_day as (
                partition by dataset, subject, measure, period, cast(period_start as date)
                order by period_start rows between unbounded preceding and unbounded following
            )
    )
),

scored as (
    select
        * exclude (deviation),
        greatest(
            1.4826 * deviation,
            case kind
                when 'count' then greatest(sqrt(greatest(expected, 1)), 0.05 * expected)
                when 'sum' then abs(expected) * greatest(0.1, 1.5 / sqrt(greatest(base, 1)))
                else greatest(sqrt(greatest(expected * (1 - expected), 1 / base) / base), 0.03 * {{ rarer('expected') }})
            end
        ) as spread
    from beside
    left join changes using (dataset, subject, measure, period, period_start)
),

found as (
    select
        dataset, subject, measure, kind, period, period_start,
        round(value, 6) as value,
        round(expected, 6) as expected,
        round(spread, 6) as spread,
        round((value - expected) / nullif(spread, 0), 1) as score,
        base,
        -- many more than usual is listed, and far only where records may have come twice
        kind = 'ratio' or value < expected or value >= case period when 'hour' then 3 else 1.8 end * expected as is_far,
        -- a single hour of few records may be the weather; one of hardly any is not, where there are so many that chance empties none
        period <> 'hour' or value > expected or (value < {{ var('unusual').hour_gone }} * nearest and nearest >= 2 * {{ var('unusual').zero }}) as is_enough
    from scored
    where
        -- zero where there are usually many
        (kind = 'count' and value = 0 and low >= {{ var('unusual').zero }} and (period = 'day' or not is_holiday))
        -- half of a day is told before its weekday is known
        or (
            kind = 'count' and period = 'day' and not is_holiday and least_before >= {{ var('unusual').half_from }}
            and value <= {{ var('unusual').half }} * least_before
            and least_before - value > {{ var('unusual').count_changes }} * {{ from_change('usual_change') }}
        )
        or (
            not is_holiday
            and abs(value - expected) > {{ var('unusual').spreads }} * spread * doubt
            -- eight numbers may be alike by chance: what all weekdays say is in no such doubt
            and abs(value - expected) > case kind when 'count' then {{ var('unusual').count_changes }} else {{ var('unusual').changes }} end * {{ from_change('coalesce(usual_change, 0)') }}
            and (value - expected) * (value - nearest) > 0
            and case kind
                when 'count' then abs(value - nearest) >= greatest(
                    {{ var('unusual').records }},
                    case period when 'hour' then {{ var('unusual').hour_share }} else {{ var('unusual').share }} end * nearest
                )
                -- the amounts of a few orders are anything
                when 'sum' then base >= {{ var('unusual').orders }} and abs(value - nearest) >= {{ var('unusual').share }} * abs(nearest)
                else abs(value - nearest) * base >= {{ var('unusual').records }} and abs(value - nearest) >= {{ var('unusual').ratio_share }} * {{ rarer('expected') }}
            end
        )
),

-- a week in which a day was found says nothing new
without_known_weeks as (
    select * from found
    where period <> 'week' or not exists (
        select 1 from found as days
        where
            {{ same_measure('days', 'found') }} and days.period = 'day'
            and days.period_start between found.period_start and found.period_start + interval 6 days
    )
),

-- an hour of a day that is an alert is listed, and is none by itself
final as (
    select
        * exclude (is_far, is_enough),
        is_far
        and (is_enough or exists (
            select 1 from found as beside
            where
                {{ same_measure('beside', 'one') }} and beside.period = 'hour' and beside.value < beside.expected
                and beside.period_start in (one.period_start - interval 1 hour, one.period_start + interval 1 hour)
                and cast(beside.period_start as date) = cast(one.period_start as date)
        ))
        and not (one.period = 'hour' and exists (
            select 1 from found as days
            where
                {{ same_measure('days', 'one') }} and days.period = 'day' and days.is_far
                and cast(days.period_start as date) = cast(one.period_start as date)
                and (days.value < days.expected) = (one.value < one.expected)
        )) as is_alert
    from without_known_weeks as one
)

select * from final
{% endmacro %}

{# How many days before a date its judgement reads: eight weeks, and the level before the first of them. #}
{% macro usual_days_back() %}{{ return(56 + 56) }}{% endmacro %}

{% macro same_measure(one, other) -%}
    {{ one }}.dataset = {{ other }}.dataset and {{ one }}.subject = {{ other }}.subject and {{ one }}.measure = {{ other }}.measure
{%- endmacro %}

{% macro scaled() -%} case when now.level > 0 and earlier.level > 0 then earlier.value * now.level / earlier.level else earlier.value end {%- endmacro %}

{# The spread of one number, from the usual change between two: that is wider by the root of two. #}
{% macro from_change(change) -%} 1.4826 / sqrt(2) * {{ change }} {%- endmacro %}

{# The datasets whose numbers are judged: those that always have records, by their contract. #}
{% macro watched_datasets() %}
    {% set found = [] %}
    {% for dataset in datasets() if contract(dataset).meta.get('expect_records_every') %}{% do found.append(dataset) %}{% endfor %}
    {{ return(found) }}
{% endmacro %}

{# The columns of a dataset of which it is measured how often they are missing, or how many values they have. #}
{% macro columns_watched(dataset) %}
    {% set found, key = [], key_columns(dataset) %}
    {% for column in contract(dataset).columns if column.name not in key %}
        {% set meta = column.config.meta or {} %}
        {% set one = {
            'name': column.name,
            'may_be_missing': not meta.get('required'),
            'is_id': column.data_type == 'varchar' and not meta.get('allowed') and column.name.endswith('_id'),
        } %}
        {% if one.may_be_missing or one.is_id %}{% do found.append(one) %}{% endif %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{# The date in the name of an anomaly, such as gold.daily_funnel:purchase_per_checkout_sessions:day:2026-11-03. #}
{% macro anomaly_date(name) -%} try_cast(regexp_extract({{ name }}, ':(\d{4}-\d{2}-\d{2})(T\d{2})?$', 1) as date) {%- endmacro %}

{# Of a share and the rest, the smaller: of a column that is missing in 97 of 100 records, the 3 are what can be lost. #}
{% macro rarer(share) -%} case when {{ share }} < 1 then least({{ share }}, 1 - {{ share }}) else {{ share }} end {%- endmacro %}
