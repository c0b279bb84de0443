-- Lines that wait for an exchange rate: none was quoted on their date, nor in the days before it. They are in no amount in dollars.
{{ config(severity='warn', meta={'finding': 'these dates have no exchange rate, nor do the days before them, so their lines have no amount in dollars. Next: clearwell ingest exchange_rates --from DATE --to DATE, then clearwell build'}) }}
select order_date, {{ code_or_kinds('currency') }} as currency, count(*) as lines
from {{ ref('silver_order_items') }}
where is_counted and line_amount_usd is null
group by all
