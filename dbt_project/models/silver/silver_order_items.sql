{% set dates = literals(ref('plan_order_dates'), 'order_date') %}

with orders as (
    select * from {{ ref('silver_orders') }} where order_id in (select order_id from {{ ref('plan_orders') }})
),

products as (
    {{ current_after('products', only=['product_id']) }}
),

lines_of_the_build as (
    select
        order_id, line_number, {{ empty_as_missing('product_id') }} as product_id, quantity, unit_price, discount_amount, line_amount, updated_at, batch_id,
        record_no
    from {{ ref('records_order_items') }}
    where fate = 'current' and not is_deleted
),

-- one condition at a time: DuckDB skips row groups for either condition, but not for both in one `or`
untouched_lines as (
    {% for where_from in ['order_date in (' ~ dates ~ ')', 'order_date is null'] -%}
    select order_id, line_number, product_id, quantity, unit_price, discount_amount, line_amount, updated_at, batch_id, record_no
    from {{ before('silver_order_items') }} as state
    anti join {{ ref('plan_keys_order_items') }} as touched on {{ same('touched', 'state', ['order_id', 'line_number']) }}
    where {{ where_from }} and order_id in (select order_id from {{ ref('plan_orders') }})
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

lines as (
    select * from lines_of_the_build
    union all
    select * from untouched_lines
),

priced as (
    select
        order_id,
        line_number,
        product_id,
        quantity,
        coalesce(unit_price, {{ exact_unit_price('line_amount', 'discount_amount', 'quantity') }}) as unit_price,
        discount_amount,
        cast(coalesce(line_amount, cast(quantity as decimal(19, 0)) * unit_price - coalesce(discount_amount, 0)) as decimal(38, 4)) as line_amount,
        updated_at,
        batch_id,
        record_no
    from lines
),

rates as (
    select
        order_date, currency, usd_rate, usd_rate_date,
        {{ in_units('usd_per_euro', 8) }} as usd_units,
        {{ in_units('currency_per_euro', 8) }} as currency_units
    from {{ ref('silver_usd_rates') }}
),

taxed as (
    {{ taxed_lines('priced', 'orders') }}
),

joined as (
    select
        lines.order_id,
        lines.line_number,
        orders.order_id is not null as is_known_order,
        orders.order_date,
        orders.ordered_at,
        orders.status as order_status,
        orders.country,
        orders.currency,
        lines.product_id,
        lines.product_id is not null and lines.product_id in (select product_id from products) as is_known_product,
        lines.quantity,
        lines.unit_price,
        coalesce(lines.discount_amount, 0) as discount_amount,
        lines.line_amount,
        orders.order_id is not null and coalesce(orders.status, '') <> 'cancelled' as is_counted,
        rates.usd_rate,
        rates.usd_rate_date,
        rates.currency_units,
        {{ usd_dividend('lines.line_amount', 'rates.usd_units') }} as line_dividend,
        taxed.tax_rate,
        taxed.tax_amount,
        {{ usd_dividend('taxed.tax_amount', 'rates.usd_units') }} as tax_dividend,
        lines.updated_at,
        lines.batch_id,
        lines.record_no
    from priced as lines
    left join orders on lines.order_id = orders.order_id
    left join rates on orders.order_date = rates.order_date and orders.currency = rates.currency
    left join taxed on lines.order_id = taxed.order_id and lines.line_number = taxed.line_number
),

final as (
    select
        order_id,
        line_number,
        is_known_order,
        order_date,
        ordered_at,
        order_status,
        country,
        currency,
        product_id,
        is_known_product,
        quantity,
        unit_price,
        discount_amount,
        line_amount,
        is_counted,
        usd_rate,
        usd_rate_date,
        {{ in_usd('line_amount', 'usd_units', 'currency_units', dividend='line_dividend') }} as line_amount_usd,
        tax_rate,
        tax_amount,
        {{ in_usd('tax_amount', 'usd_units', 'currency_units', dividend='tax_dividend') }} as tax_amount_usd,
        updated_at,
        batch_id,
        record_no
    from joined
)

select * from final
