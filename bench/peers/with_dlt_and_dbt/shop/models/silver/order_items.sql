with multiplied as (
    select lines.*, taxes.tax_units, quotes.quote, lines.amount_units * quotes.usd_quote as usd_product, taxes.tax_units * quotes.usd_quote as tax_product
    from {{ ref('lines') }} as lines
    left join {{ ref('taxes') }} as taxes on lines.order_id = taxes.order_id and lines.line_number = taxes.line_number
    left join {{ ref('usd_quotes') }} as quotes on lines.order_date = quotes.order_date and lines.currency = quotes.currency
)

select
    * exclude (quote, usd_product, tax_product),
    {{ half_even('usd_product', 'quote') }} as usd_units,
    {{ half_even('tax_product', 'quote') }} as tax_usd_units
from multiplied
