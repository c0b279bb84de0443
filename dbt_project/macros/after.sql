{# The current records of a dataset after this build, on some dates: those of the build, and untouched ones of the state. #}

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

{# The same for a view that is also in the state, where it is of all current records. `warehouse/dbt.py` makes its SQL there: it
   replaces what is between the two comments by the second one. #}
{% macro current_in_view(dataset, dates) %}
    /* in a build */
    {{ current_after(dataset, dates) }}
    /* in the state: select * from {{ ref('records_' ~ dataset).include(database=false) }} where fate = 'current' and not is_deleted */
{% endmacro %}

{# The current records of a dataset before this build, of the keys that it touches. #}
{% macro current_before(dataset, only) %}
    {% set keys = ref('plan_keys_' ~ dataset) %}
    select {{ only | join(', ') }} from {{ before('records_' ~ dataset) }} as state
    semi join {{ keys }} as touched on {{ same('touched', 'state', contract(dataset).meta.key + ['record_date']) }}
    where fate = 'current' and not is_deleted and record_date in ({{ literals(keys, 'record_date') }})
{% endmacro %}

{# The dates of a dataset whose rows in the state another version of the models made: if one of them is touched, all of its rows
   are made again. #}
{% macro stale_dates(dataset) -%}
    select record_date from {{ before('ops_dates') }} where dataset = '{{ dataset }}' and model_version <> '{{ var("model_version", "dev") }}'
{%- endmacro %}

{# A table of the state after this build: its untouched rows and those of the build. #}
{% macro whole(model) %}
    {%- set node = graph.nodes['model.' ~ project_name ~ '.' ~ model] if execute else none -%}
    {%- set others = 'anti join ' ~ replaced(model) -%}
    {%- if node and node.config.materialized == 'changes' -%}
        {%- set date = date_matched(node.config.meta.apply) -%}
        {%- set others = 'where ' ~ date ~ ' not in (select ' ~ date ~ ' from ' ~ ref(node.config.meta.apply.match) ~ ' where ' ~ date ~ ' is not null)' -%}
    {%- endif %}
    {{ union_by_name('select * from ' ~ ref(model), 'select * from ' ~ before(model) ~ ' ' ~ others, columns_of(model)) }}
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
