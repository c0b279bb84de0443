{# No two rates of one country are valid on the same date. #}
{% test one_rate_at_a_time(model) %}
{{ config(meta={'finding': 'two tax rates of a country are valid on the same date. Next: fix seeds/tax_rates.csv'}) }}
select one.country, one.valid_from, other.valid_from as other_valid_from
from {{ model }} as one
inner join {{ model }} as other on one.country = other.country and one.valid_from < other.valid_from
where one.valid_to is null or one.valid_to > other.valid_from
{% endtest %}
