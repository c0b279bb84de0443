{# A held batch waits for a person: `clearwell builds accept held:<batch>`, `clearwell batches retract <batch>`, or a fixed source or contract. #}
{% test nothing_is_held(model) %}
{{ config(meta={'finding': 'these batches are held. Next: clearwell status, which lists what to do about each'}) }}
select * from {{ model }} where batch_id = broken_batch_id and is_open
{% endtest %}
