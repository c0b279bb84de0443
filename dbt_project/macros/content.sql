{# One number for the values of a record, to notice an altered one by. A missing value adds nothing, so that a column that
   a contract takes later leaves earlier numbers as they are. It never decides a contest: see content_md5. #}
{% macro content_hash(names) -%}
    {%- set ns = namespace(sql='0::ubigint') -%}
    {%- for name in names -%}
        {%- set ns.sql = "xor(" ~ ns.sql ~ ", case when " ~ name ~ " is null then 0::ubigint else hash('" ~ name ~ "', " ~ name ~ ") end)" -%}
    {%- endfor -%}
    {{ ns.sql }}
{%- endmacro %}
