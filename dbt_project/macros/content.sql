{# One number for the values of a record, to detect altered records. A missing value does not change it, so that a column
   added to the contract later leaves earlier numbers unchanged. It never decides a contest: see content_md5. #}
{% macro content_hash(names) -%}
    {%- set ns = namespace(sql='0::ubigint') -%}
    {%- for name in names -%}
        {%- set ns.sql = "xor(" ~ ns.sql ~ ", case when " ~ name ~ " is null then 0::ubigint else hash('" ~ name ~ "', " ~ name ~ ") end)" -%}
    {%- endfor -%}
    {{ ns.sql }}
{%- endmacro %}
