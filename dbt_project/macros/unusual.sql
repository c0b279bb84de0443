{# Judge measured numbers against what is usual for their day or hour of the week.

   `measures` has one row per dataset, subject, measure and period ("day" or "hour") with `amount`, and for a ratio its `base`.
   `dates` are those to judge, `covered` the whole days that landed, by dataset. A day that landed without a row counts as zero.

   Expected is the median of the same weekday (and hour) of the eight weeks before, each scaled by how the level of the measure
   has changed since: the median of its last 28 days. With less than four such weeks, the 28 days before are taken instead, and
   only what lies well outside of all of them is told; with less than seven days nothing is judged. The spread is the median absolute deviation, but at least what chance alone does:
   the square root of a count, the standard error of a share. #}
{% macro unusual(measures, dates, covered) %}
with judged as (
    select distinct record_date from {{ dates }} where record_date is not null
),

read_dates as (
    select distinct record_date - cast(days as integer) as record_date from judged, range({{ 1 + usual_days_back() }}) as back (days)
),

series as (
    select dataset, subject, measure, kind, period, min(cast(period_start as date)) as first_date
    from {{ measures }}
    group by all
),

periods as (
    select series.*, covered.record_date, covered.record_date + to_hours(cast(hours as integer)) as period_start
    from series
    inner join {{ covered }} as covered on series.dataset = covered.dataset and covered.record_date >= series.first_date
    inner join read_dates using (record_date)
    cross join range(24) as day (hours)
    where
        (series.period = 'hour' or hours = 0)
        -- holidays are neither judged nor usual, but for their ratios
        {% if var('unusual').holidays %}and (series.kind = 'ratio' or covered.record_date not in ({{ listed(var('unusual').holidays) }})){% endif %}
),

measured as (
    select periods.*, cast(coalesce(measures.amount, 0) as double) as amount, cast(coalesce(measures.base, 0) as double) as base
    from periods
    left join {{ measures }} as measures using (dataset, subject, measure, period, period_start)
),

-- what is too little for one day may be enough for seven
with_weeks as (
    select dataset, subject, measure, kind, period, record_date, period_start, amount, base from measured
    union all
    select
        dataset, subject, measure, kind, 'week' as period, record_date, period_start - interval 6 days as period_start,
        sum(amount) over week as amount, sum(base) over week as base
    from measured
    where period = 'day' and kind = 'ratio'
    window week as (
        partition by dataset, subject, measure order by record_date range between interval 6 days preceding and current row
    )
    qualify count(*) over week = 7
),

-- a ratio of nothing is not known, nor is that of negative sales
filled as (
    select *, case when kind <> 'ratio' then amount when base > 0 then amount / base end as value from with_weeks
),

levels as (
    select
        dataset, subject, measure, record_date,
        median(value) over (
            partition by dataset, subject, measure order by record_date range between interval 28 days preceding and interval 1 day preceding
        ) as level
    from filled
    where period = 'day' and kind <> 'ratio'
),

levelled as (
    select filled.*, coalesce(levels.level, 0) as level
    from filled
    left join levels using (dataset, subject, measure, record_date)
),

-- each period to judge, with those that it is compared with
compared as (
    select
        now.dataset, now.subject, now.measure, now.kind, now.period, now.period_start, now.value, now.base,
        count(*) filter (where days % 7 = 0) as weeks,
        count(*) filter (where days <= 28) as days,
        median({{ scaled() }}) filter (where days % 7 = 0) as week_median,
        mad({{ scaled() }}) filter (where days % 7 = 0) as week_mad,
        quantile_disc({{ scaled() }}, 0.25) filter (where days % 7 = 0) as week_low,
        median({{ scaled() }}) filter (where days <= 28) as day_median,
        mad({{ scaled() }}) filter (where days <= 28) as day_mad,
        min({{ scaled() }}) filter (where days <= 28) as day_low,
        max({{ scaled() }}) filter (where days <= 28) as day_high
    from levelled as now
    inner join judged using (record_date)
    cross join range(1, 57) as back (days)
    inner join levelled as earlier
        on
            now.dataset = earlier.dataset and now.subject = earlier.subject and now.measure = earlier.measure
            and now.period = earlier.period and earlier.period_start = now.period_start - to_days(cast(days as integer))
    where now.value is not null and earlier.value is not null and (days % 7 = 0 or days <= 28)
    group by all
),

usual as (
    select
        dataset, subject, measure, kind, period, period_start, value, base,
        case when weeks >= 4 then weeks else days end as compared_with,
        case when weeks >= 4 then week_median else day_median end as expected,
        case when weeks >= 4 then week_mad else day_mad end as deviation,
        case when weeks >= 4 then week_low else day_low end as low,
        -- the weekday is not known yet: what has been seen on any day is usual
        case when weeks >= 4 then expected when value < expected then least(expected, day_low) else greatest(expected, day_high) end as nearest
    from compared
    where weeks >= 4 or days >= 7
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
    from usual
),

found as (
    select
        dataset, subject, measure, kind, period, period_start,
        round(value, 6) as value,
        round(expected, 6) as expected,
        round(spread, 6) as spread,
        round((value - expected) / nullif(spread, 0), 1) as score,
        base,
        -- many more than usual is told, and an alert only where records may have come twice
        kind = 'ratio' or value < expected or value >= case period when 'hour' then 3 else 1.8 end * expected as is_alert
    from scored
    where
        -- zero where there are usually many
        (kind <> 'ratio' and value = 0 and low >= {{ var('unusual').zero }})
        or (
            abs(value - expected) > {{ var('unusual').spreads }} * spread * (1 + 2.0 / compared_with)
            and (value - expected) * (value - nearest) > 0
            and case kind
                when 'count' then abs(value - nearest) >= greatest(
                    {{ var('unusual').records }},
                    case period when 'hour' then {{ var('unusual').hour_share }} else {{ var('unusual').share }} end * nearest
                )
                when 'sum' then abs(value - nearest) >= {{ var('unusual').share }} * abs(nearest)
                else abs(value - nearest) * base >= {{ var('unusual').records }} and abs(value - nearest) >= {{ var('unusual').ratio_share }} * {{ rarer('expected') }}
            end
        )
),

-- a week in which a day was found says nothing new
final as (
    select * from found
    where period <> 'week' or not exists (
        select 1 from found as days
        where
            days.period = 'day' and days.dataset = found.dataset and days.subject = found.subject and days.measure = found.measure
            and days.period_start between found.period_start and found.period_start + interval 6 days
    )
)

select * from final
{% endmacro %}

{# How many days before a date its judgement reads: eight weeks, and the level before the first of them. #}
{% macro usual_days_back() %}{{ return(56 + 28) }}{% endmacro %}

{% macro scaled() -%} case when now.level > 0 and earlier.level > 0 then earlier.value * now.level / earlier.level else earlier.value end {%- endmacro %}

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
