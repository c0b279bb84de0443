{# The current records of a dataset after this build, on some dates: untouched ones from the state, and those of the build. #}

{% macro current_after(dataset, dates=none, only=none) %}
    {% set columns = (['batch_id', 'record_no', 'record_date'] + column_names(dataset)) | join(', ') %}
    {% if only %}{% set columns = only | join(', ') %}{% endif %}
    {% set keys = ref('plan_keys_' ~ dataset) %}
    {% set within = 'record_date in (' ~ dates ~ ')' if dates else 'true' %}
    select {{ columns }} from {{ ref('records_' ~ dataset) }} where fate = 'current' and not is_deleted and {{ within }}
    union all
    select {{ columns }} from {{ before('records_' ~ dataset) }} as state
    anti join {{ keys }} as touched on {{ same('touched', 'state', contract(dataset).meta.key + ['record_date']) }}
    where fate = 'current' and not is_deleted and {{ within }}
{% endmacro %}

{# A table of the state after this build: its untouched rows and those of the build. #}
{% macro whole(model) %}
    select * from {{ ref(model) }}
    union all by name
    select * from {{ before(model) }} anti join {{ replaced(model) }}
{% endmacro %}

{# Whether a batch of the window of a table's `dataset` and `record_date` is held after this build. #}
{% macro is_held(table) -%}
    exists (
        select 1 from {{ ref('ops_held') }} as held
        where
            held.is_open and held.dataset = {{ table }}.dataset
            and {{ table }}.record_date >= cast(held.window_start as date) and {{ table }}.record_date < held.window_end
    )
{%- endmacro %}
