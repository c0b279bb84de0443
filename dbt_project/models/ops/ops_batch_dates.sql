-- counted when the records are parsed, before they have fates
with final as (
    {% for dataset in datasets() -%}
    select
        '{{ dataset }}' as dataset, batch_id, record_date, currency, is_amount_read,
        count(*) as records,
        cast(sum(amount) as decimal(38, 4)) as amount,
        cast(sum(content) as hugeint) as content
    from (
        select batch_id, record_date, {{ money_of(dataset) }}, {{ content_hash(column_names(dataset)) }} as content from ({{ entering(dataset) }}) where reasons is null
        union all
        select batch_id, record_date, money_currency, money_amount, is_money_read, {{ content_hash(['reasons', 'raw']) }} as content from ({{ entering(dataset) }}) where reasons is not null
    )
    group by batch_id, record_date, currency, is_amount_read
    {{ 'union all' if not loop.last }}
    {% endfor -%}
)

select * from final
