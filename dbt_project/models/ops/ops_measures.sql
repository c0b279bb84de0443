-- depends_on: {{ ref('plan_touched') }} {% for dataset in datasets() %}{{ ref('records_' ~ dataset) }} {{ ref('plan_keys_' ~ dataset) }} {% endfor %}
{% set dates = literals(ref('plan_measured'), 'record_date') %}
{% set read_once = [] %}
{% for dataset in watched_datasets() if not contract(dataset).meta.get('changed') %}{% do read_once.append(dataset) %}{% endfor %}
with
{% for dataset in watched_datasets() %}
{% set columns = columns_watched(dataset) %}
{{ dataset }}_columns as (
    {% if columns %}
    select
        '{{ dataset }}' as dataset,
        record_date,
        count(*) as records
        {% for column in columns -%}
        {% if column.may_be_missing %}, count(*) - count({{ column.name }}) as missing_{{ column.name }}{% endif %}
        {% if column.is_id %}, approx_count_distinct({{ column.name }}) as distinct_{{ column.name }}{% endif %}
        {% endfor %}
    from ({{ current_after(dataset, dates, ['record_date'] + columns | map(attribute='name') | list) }})
    group by record_date
    {% else %}
    select '{{ dataset }}' as dataset, cast(null as date) as record_date, 0 as records where false
    {% endif %}
),

{{ dataset }} as (
    select dataset, null as measure, null as kind, record_date, null as amount, null as base from {{ dataset }}_columns where false
    {% for column in columns -%}
    {% if column.may_be_missing %}
    union all
    select dataset, 'missing_share_of_{{ column.name }}', 'ratio', record_date, missing_{{ column.name }}, records from {{ dataset }}_columns
    {% endif %}
    {% if column.is_id %}
    union all
    select dataset, 'distinct_{{ column.name }}', 'count', record_date, distinct_{{ column.name }}, null from {{ dataset }}_columns
    {% endif %}
    {% endfor %}
),
{% endfor %}
accounts as (
    select
        dataset,
        record_date,
        coalesce(sum(records) filter (where fate = 'current'), 0) as current_records,
        coalesce(sum(records) filter (where fate = 'duplicate'), 0) as duplicate_records,
        coalesce(sum(records) filter (where fate = 'dead_letter'), 0) as refused_records,
        sum(records) as records
    from ({{ whole('ops_ledger') }})
    where dataset in ({{ listed(watched_datasets()) or no_values() }}) and record_date in ({{ dates }})
    group by dataset, record_date
),

of_records as (
    select dataset, 'records.' || dataset as subject, measure, kind, record_date, amount, base
    from (
        select dataset, 'records' as measure, 'count' as kind, record_date, current_records as amount, null as base from accounts
        union all
        -- rows of a table that are read again with each window are no duplicates that the source sent
        select dataset, 'duplicate_share', 'ratio', record_date, duplicate_records, records from accounts
        where dataset in ({{ listed(read_once) or no_values() }})
        union all
        select dataset, 'refused_share', 'ratio', record_date, refused_records, records from accounts
        {% for dataset in watched_datasets() -%}
        union all
        select dataset, measure, kind, record_date, amount, base from {{ dataset }}
        {% endfor %}
    )
),

sold as (
    select
        order_date as record_date,
        currency,
        sum(orders) as orders,
        sum(gross_amount) as gross_amount,
        sum(refunded_amount) as refunded_amount,
        sum(lines_without_usd) as lines_without_usd
    from {{ ref('silver_daily_sales') }}
    group by order_date, currency
),

-- a measure is named by its currency, and a name is told: a text that is no currency may be anybody's
money as (
    select * from sold
    where currency in (select currency from {{ ref('currencies') }})
),

steps as (
    select
        session_date as record_date,
        sum(view_sessions) as view_sessions,
        sum(cart_sessions) as cart_sessions,
        sum(checkout_sessions) as checkout_sessions,
        sum(purchase_sessions) as purchase_sessions
    from {{ ref('gold_daily_funnel') }}
    group by session_date
),

of_gold as (
    select 'orders' as dataset, 'gold.daily_revenue' as subject, 'gross_amount_' || currency as measure, 'sum' as kind, record_date, gross_amount as amount, orders as base
    from money
    union all
    -- per order and not per unit of money: what is usual of a few orders varies, however dear they are
    select
        'orders', 'gold.daily_revenue', 'refunded_share_of_' || currency, 'ratio', record_date,
        cast(orders * refunded_amount / gross_amount as decimal(38, 4)), orders
    from money
    where gross_amount > 0
    union all
    select 'orders', 'gold.daily_revenue', 'lines_without_usd', 'count', record_date, sum(lines_without_usd), null from sold group by record_date
    {% for step, before in [('cart', 'view'), ('checkout', 'cart'), ('purchase', 'checkout')] -%}
    union all
    select 'clickstream', 'gold.daily_funnel', '{{ step }}_per_{{ before }}_sessions', 'ratio', record_date, {{ step }}_sessions, {{ before }}_sessions from steps
    {% endfor %}
),

days as (
    select dataset, subject, measure, kind, 'day' as period, cast(record_date as timestamp) as period_start, cast(amount as decimal(38, 4)) as amount, cast(base as decimal(38, 4)) as base
    from (
        select * from of_records
        union all
        select * from of_gold
    )
    semi join {{ ref('plan_measured') }} as measured using (subject, record_date)
),

by_hour as (
    select 'clickstream' as dataset, 'silver.clickstream' as subject, event_type || '_events' as measure, {{ tumbling('event_time', 'hour') }} as hour, count(*) as amount
    from {{ ref('silver_clickstream') }}
    group by all
    union all
    select 'orders', 'silver.orders', 'orders', {{ tumbling('ordered_at', 'hour') }}, count(*)
    from {{ ref('silver_orders') }}
    where {{ is_an_order('status') }} and ordered_at is not null
    group by all
),

hours_and_days as (
    select dataset, subject, measure, 'count' as kind, 'hour' as period, cast(hour as timestamp) as period_start, cast(amount as decimal(38, 4)) as amount, cast(null as decimal(38, 4)) as base
    from by_hour
    union all
    select dataset, subject, measure, 'count', 'day', {{ tumbling('cast(hour as timestamp)', 'day') }}, cast(sum(amount) as decimal(38, 4)), cast(null as decimal(38, 4))
    from by_hour
    group by all
),

final as (
    select * from days
    union all
    select * from hours_and_days
)

select * from final
