{# A source has a new column. Bronze keeps it; it comes to silver, back to its first batch, once the contract takes it. #}
{% test columns_are_in_contract(model) %}
select * from {{ model }} where not is_in_contract
{% endtest %}
