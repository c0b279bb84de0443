{# A table of the state before this build, with the columns of its model. A column that the state does not have is null, and one
   that the model no longer has is left out. A table that the state does not have yet is empty. #}

{% macro before(model) -%} {{ adapter.dispatch('before')(model) }} {%- endmacro %}

{# The columns that a model's YAML declares, with their types; none while dbt parses. #}
{% macro columns_of(model) %}
    {% set found = {} %}
    {% for column in (graph.nodes['model.' ~ project_name ~ '.' ~ model].columns.values() if execute else []) %}
        {% do found.update({column.name: column.data_type}) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{# Names as SQL strings. #}
{% macro quoted(names) -%} '{{ names | join("', '") }}' {%- endmacro %}

{# What names the rows of the state's table that this build replaces: a semi join with it finds them, and an anti join the
   others. The matched columns are renamed, as the expressions name columns of the table alone. `where` leaves out matches. #}
{% macro replaced(model, where='true') -%}
    {%- set apply = graph.nodes['model.' ~ project_name ~ '.' ~ model].config.meta.apply if execute else {'match': 'plan_batches', 'by': ['batch_id']} -%}
    {%- set by = apply.by if apply.by is mapping else dict(zip(apply.by, apply.by)) -%}
    (select {% for column in by %}{{ column }} as touched_{{ column }}{{ ', ' if not loop.last }}{% endfor %} from {{ ref(apply.match) }} where {{ where }}) as touched
    on {% for column, expression in by.items() %}touched_{{ column }} is not distinct from {{ expression }}{{ ' and ' if not loop.last }}{% endfor %}
{%- endmacro %}

{# What `in (…)` names if there are no values: DuckDB then reads no row, but reads every row for `in (null)`. #}
{% macro no_values() %}{{ return('select null where false') }}{% endmacro %}

{# The values of one column as literals: DuckDB skips row groups for literals but not for a join. #}
{% macro literals(relation, column) %}
    {% if not execute %}{{ return(no_values()) }}{% endif %}
    {% set values = run_query("select distinct " ~ column ~ " from " ~ relation ~ " where " ~ column ~ " is not null order by 1").columns[0].values() %}
    {{ return("'" ~ (values | join("', '")) ~ "'" if values else no_values()) }}
{% endmacro %}
