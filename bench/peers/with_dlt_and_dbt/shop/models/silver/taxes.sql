-- An order's tax is rounded once, half-even. Its lines get theirs rounded down, and those with the largest rests get what is left over.
with rates as (
    select country, valid_from, coalesce(valid_to, date '9999-12-31') as valid_to, cast(tax_rate * 10000 as bigint) as rate_units
    from read_csv(
        '{{ var("seeds") }}/tax_rates.csv',
        columns = {'country': 'varchar', 'valid_from': 'date', 'valid_to': 'date', 'tax_rate': 'decimal(6,4)', 'source': 'varchar'}
    )
),

currencies as (
    select currency, cast(10 ** (8 - minor_units) as bigint) as unit, cast(10 ** (4 - minor_units) as bigint) as back
    from read_csv('{{ var("seeds") }}/currencies.csv', columns = {'currency': 'varchar', 'minor_units': 'integer', 'source': 'varchar'})
),

owed as (
    select order_id, line_number, amount_units * rate_units as owed, unit, back
    from {{ ref('lines') }}
    inner join rates using (country)
    inner join currencies using (currency)
    where order_date >= valid_from and order_date < valid_to
),

given as (
    select *, owed // unit - case when owed % unit < 0 then 1 else 0 end as given from owed
),

left_over as (
    select order_id, {{ half_even('cast(sum(owed) as bigint)', 'any_value(unit)') }} - sum(given) as left_over
    from given
    group by order_id
)

select
    order_id,
    line_number,
    cast(
        given + case when row_number() over (partition by order_id order by owed - given * unit desc, line_number) <= left_over then 1 else 0 end
        as bigint
    ) * back as tax_units
from given
inner join left_over using (order_id)
