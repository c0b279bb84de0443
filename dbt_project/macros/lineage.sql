{# Rows of gold tables and the datasets they are made of, as `values`. What plans read says which dates are built, not of what. #}
{% macro datasets_of_gold() %}
    {%- set rows = [] -%}
    {%- for node in (graph.nodes.values() if execute else []) if node.resource_type == 'model' and node.name.startswith('gold_') -%}
        {%- set seen = [node.unique_id] -%}
        {%- set found = [] -%}
        {%- for unique_id in seen -%}
            {%- for other in graph.nodes[unique_id].depends_on.nodes if other not in seen and other in graph.nodes -%}
                {%- set name = graph.nodes[other].name -%}
                {%- if name.startswith('records_') -%}
                    {%- do found.append(name | replace('records_', '', 1)) -%}
                {%- elif not name.startswith('plan_') and graph.nodes[other].resource_type == 'model' -%}
                    {%- do seen.append(other) -%}
                {%- endif -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- for dataset in found | unique | sort if dataset not in ('decisions', 'refused', 'source_counts') -%}
            {%- do rows.append("('" ~ (node.name | replace('gold_', '', 1)) ~ "', '" ~ dataset ~ "')") -%}
        {%- endfor -%}
    {%- endfor -%}
    values {{ (rows | sort | join(', ')) or "('', '')" }}
{% endmacro %}

{# The gold tables whose rows have a date, each with the SQL for it, from `meta.date` in its YAML. #}
{% macro dates_of_gold() %}
    {%- set rows = [] -%}
    {%- for node in (graph.nodes.values() if execute else []) if node.resource_type == 'model' and node.name.startswith('gold_') and node.config.meta.date -%}
        {%- do rows.append("('" ~ (node.name | replace('gold_', '', 1)) ~ "', " ~ literal(node.config.meta.date) ~ ")") -%}
    {%- endfor -%}
    values {{ (rows | sort | join(', ')) or "('', '')" }}
{% endmacro %}
