{# A model's schema is its layer, and its table's name omits the layer: silver_orders is silver.orders. #}

{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name | trim if custom_schema_name else target.schema }}
{%- endmacro %}

{% macro generate_alias_name(custom_alias_name=none, node=none) -%}
    {%- set layer = (node.config.get('schema') or '') ~ '_' -%}
    {%- if custom_alias_name -%}{{ custom_alias_name | trim }}
    {%- elif node.resource_type == 'model' and node.name.startswith(layer) -%}{{ node.name[layer | length:] }}
    {%- else -%}{{ node.name }}{%- endif -%}
{%- endmacro %}
