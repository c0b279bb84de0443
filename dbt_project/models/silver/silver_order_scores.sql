-- Rules with weights, from seeds/fraud_rules.csv. A trained model may replace this model: it reads the same features and returns
-- a score from 0 to 100, the reasons, and its version.
with rules as (
    select
        max(rules_version) as rules_version,
        {% for rule in ['velocity', 'country_mismatch', 'amount_over_history', 'new_account_high_value', 'shared_visitor', 'amount_over_shop'] -%}
        max(weight) filter (where rule = '{{ rule }}') as {{ rule }}_weight,
        max(threshold) filter (where rule = '{{ rule }}') as {{ rule }}_threshold,
        max(condition) filter (where rule = '{{ rule }}') as {{ rule }}_condition{{ ',' if not loop.last }}
        {% endfor %}
    from {{ ref('fraud_rules') }}
),

judged as (
    select
        features.order_id,
        features.order_date,
        rules.rules_version,
        {%- set rules %}
            case when orders_last_day >= velocity_threshold then {{ struct_of({'rule': "'velocity'", 'weight': 'velocity_weight'}) }} end,
            case when customer_country <> country and country <> 'ZZ' then {{ struct_of({'rule': "'country_mismatch'", 'weight': 'country_mismatch_weight'}) }} end,
            case
                when earlier_orders >= amount_over_history_condition and lifetime_spend_usd > 0 and order_amount_usd * earlier_orders >= amount_over_history_threshold * lifetime_spend_usd
                    then {{ struct_of({'rule': "'amount_over_history'", 'weight': 'amount_over_history_weight'}) }}
            end,
            case
                when account_age_days >= 0 and account_age_days < new_account_high_value_condition and order_amount_usd >= new_account_high_value_threshold
                    then {{ struct_of({'rule': "'new_account_high_value'", 'weight': 'new_account_high_value_weight'}) }}
            end,
            case when visitor_accounts >= shared_visitor_threshold then {{ struct_of({'rule': "'shared_visitor'", 'weight': 'shared_visitor_weight'}) }} end,
            case
                when times_usual >= amount_over_shop_threshold and ordered_usd >= amount_over_shop_condition * coalesce(largest_earlier_usd, 0)
                    then {{ struct_of({'rule': "'amount_over_shop'", 'weight': 'amount_over_shop_weight'}) }}
            end
        {%- endset %}
        {{ list_of([rules]) }} as rules
    from {{ ref('silver_order_features') }} as features
    cross join rules
),

fired as (
    select *, {{ list_filter('rules', 'rule', 'rule is not null') }} as fired from judged
),

final as (
    select
        order_id,
        order_date,
        least(coalesce({{ list_sum(list_transform('fired', 'rule', 'rule.weight')) }}, 0), 100)::integer as score,
        {{ list_transform('fired', 'rule', 'rule.rule') }} as reasons,
        'rules ' || rules_version as scored_by
    from fired
)

select * from final
