{# A source has a new column, told once. Bronze keeps it; it comes to silver, back to its first batch, once the contract takes it. #}
{% test columns_are_in_contract(model) %}
{{ config(meta={'finding': 'the source has new columns that are not in the contract. Bronze keeps them. Next: add them to the contract to have them in silver'}) }}
select * from {{ model }}
anti join {{ before('ops_columns') }} as known using (dataset, column_name, is_in_contract)
where not is_in_contract
{% endtest %}
