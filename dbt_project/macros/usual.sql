{# The usual amount of a shop's order, as of each date of silver.daily_order_sizes: the median of the daily medians of the
   `usual_days` dates before, if they have at least `usual_orders` orders. A date without earlier ones uses its own median. #}
{% macro usual_amounts(sizes) -%}
    select
        dates.order_date,
        case
            when coalesce(sum(earlier.orders), dates.orders) >= {{ var('usual_orders') }}
                then coalesce({{ middle_value('earlier.median_usd') }}, dates.median_usd)
        end as usual_usd
    from {{ sizes }} as dates
    left join {{ sizes }} as earlier
        on earlier.order_date >= dates.order_date - {{ var('usual_days') }} and earlier.order_date < dates.order_date
    group by dates.order_date, dates.orders, dates.median_usd
{%- endmacro %}

{# An amount as a multiple of the usual one: a whole number, a million at most; null if either is missing. #}
{% macro times_usual(amount, usual) -%}
    case when {{ usual }} > 0 and {{ amount }} >= 0 then cast(least({{ divided_down(in_units(amount), in_units(usual)) }}, 1000000) as bigint) end
{%- endmacro %}
