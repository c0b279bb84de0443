{# A table of the state after this build: its untouched rows and those of the build. #}

{% macro whole(model) %}
    {% set apply = graph.nodes['model.' ~ project_name ~ '.' ~ model].config.meta.apply if execute else {'match': 'plan_batches', 'by': []} %}
    select * from {{ ref(model) }}
    union all by name
    select * from {{ before(model) }} as state
    where not exists (
        select 1 from {{ ref(apply.match) }} as touched
        where {% for column in apply.by %}touched.{{ column }} is not distinct from state.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}{{ 'true' if not execute }}
    )
{% endmacro %}
