{# A table of the state after this build: its untouched rows and those of the build. #}
{% macro whole(model) %}
    select * from {{ ref(model) }}
    union all by name
    select * from {{ before(model) }} where not {{ is_replaced(model) }}
{% endmacro %}

{# Whether this build replaces a row that a table of the state had. What is matched is renamed: a name that both sides have would
   mean the inner side twice, and match every row. #}
{% macro is_replaced(model) -%}
    {%- set apply = graph.nodes['model.' ~ project_name ~ '.' ~ model].config.meta.apply if execute else {'match': 'plan_batches', 'by': ['batch_id']} -%}
    {%- set by = apply.by if apply.by is mapping else dict(zip(apply.by, apply.by)) -%}
    exists (
        select 1
        from (select {% for column in by %}{{ column }} as touched_{{ column }}{{ ', ' if not loop.last }}{% endfor %} from {{ ref(apply.match) }})
        where {% for column, expression in by.items() %}touched_{{ column }} is not distinct from {{ expression }}{{ ' and ' if not loop.last }}{% endfor %}
    )
{%- endmacro %}
