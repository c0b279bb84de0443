{# A held batch waits for a person: `clearwell builds accept <broken_batch_id>`, or a mended contract and the range built again. #}
{% test nothing_is_held(model) %}
select * from {{ model }} where batch_id = broken_batch_id
{% endtest %}
