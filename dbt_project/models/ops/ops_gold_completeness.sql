-- how far each gold table is complete: as far as the least complete of its datasets that have landed
with behind as (
    select * from ({{ datasets_of_gold() }}) as listed(gold_table, dataset)
),

dated as (
    select * from ({{ dates_of_gold() }}) as listed(gold_table, row_date)
),

completeness as (
    select * from {{ ref('ops_completeness') }}
),

final as (
    select
        behind.gold_table,
        list(behind.dataset order by behind.dataset) as datasets,
        any_value(dated.row_date) as row_date,
        max(completeness.complete_from) as complete_from,
        -- a dataset without a single complete window makes the table complete up to no time
        case when bool_and(completeness.complete_until is not null) then min(completeness.complete_until) end as complete_until,
        case
            when bool_and(completeness.complete_until is not null) and bool_or(completeness.reconciled_until is not null)
                then min(coalesce(completeness.reconciled_until, completeness.complete_until))
        end as reconciled_until
    from behind
    inner join completeness using (dataset)
    left join dated using (gold_table)
    group by behind.gold_table
)

select * from final
