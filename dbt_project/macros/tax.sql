{# The tax of each line. An order's tax is rounded once, half-even in the smallest unit of its currency; each line gets its
   own tax rounded down, and the remaining units go to the lines with the largest remainders, so that lines add up to the order. #}
{% macro taxed_lines(lines, orders) %}
    with rates as (
        select country, valid_from, valid_to, tax_rate, {{ in_units('tax_rate') }} as units from {{ ref('tax_rates') }}
    ),

    owed as (
        select
            lines.order_id,
            lines.line_number,
            rates.tax_rate,
            currencies.minor_units,
            -- amount and rate have four decimals each, so this counts 10^-8 of the currency
            {{ in_units('lines.line_amount') }} * rates.units as owed,
            {{ power_of_ten('8 - currencies.minor_units') }} as unit
        from {{ lines }} as lines
        inner join {{ orders }} as orders on lines.order_id = orders.order_id
        inner join rates
            on orders.country = rates.country
            and orders.order_date >= rates.valid_from
            and orders.order_date < coalesce(rates.valid_to, date '9999-12-31')
        inner join {{ ref('currencies') }} as currencies on orders.currency = currencies.currency
        where abs(lines.line_amount) < 1000000000000000
    ),

    orders_owed as (
        select order_id, sum(owed) as owed, any_value(unit) as unit from owed group by order_id
    ),

    order_units as (
        select order_id, {{ divided_half_even('owed', 'unit') }} as units from orders_owed
    ),

    floors as (
        select *, {{ divided_down('owed', 'unit') }} as units from owed
    ),

    ranked as (
        select
            floors.*,
            row_number() over (partition by order_id order by owed - units * unit desc, line_number) as place,
            sum(units) over (partition by order_id) as given
        from floors
    )

    select
        ranked.order_id,
        ranked.line_number,
        ranked.tax_rate,
        {{ from_units('(ranked.units + case when ranked.place <= order_units.units - ranked.given then 1 else 0 end) * ' ~ power_of_ten('4 - ranked.minor_units')) }} as tax_amount
    from ranked
    inner join order_units on ranked.order_id = order_units.order_id
{% endmacro %}
