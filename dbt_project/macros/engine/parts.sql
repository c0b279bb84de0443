{#- A model with a row for each of very many keys may be made in parts, one after the other, each with some of the keys: what DuckDB
    keeps for a key while it adds up is partly never written to disk. The model counts the keys that it reads, and takes the rows that
    are `in_part`; the materialization runs its query once for each part. -#}

{# Return how many parts a model is made in that reads the rows of a query: one for a million keys and 1 GB of memory. #}
{% macro number_of_parts(rows, column) %}{{ return(adapter.dispatch('number_of_parts')(rows, column)) }}{% endmacro %}
{% macro duckdb__number_of_parts(rows, column) %}
    {% if not execute %}{{ return(1) }}{% endif %}
    {% set keys, memory = "approx_count_distinct(" ~ column ~ ")", "parse_formatted_bytes(current_setting('memory_limit'))" %}
    {% set query = "select cast(greatest(1, ceil(" ~ keys ~ " / 1e6 * 1e9 / " ~ memory ~ ")) as bigint) from (" ~ rows ~ ")" %}
    {{ return(run_query(query).columns[0].values()[0] | int) }}
{% endmacro %}
{# It spills what it keeps for a key. #}
{% macro spark__number_of_parts(rows, column) %}{{ return(1) }}{% endmacro %}

{# The condition for the rows of a part, by a column that tells the keys apart. #}
{% macro in_part(column, parts) %}{{ return("hash(" ~ column ~ ") % " ~ parts ~ " = /* of " ~ parts ~ " parts */ 0" if parts > 1 else "true") }}{% endmacro %}

{# Return the query of each part. #}
{% macro queries_of_parts(sql) %}
    {% set found = modules.re.search("/\* of (\d+) parts \*/ 0", sql) %}
    {% set queries = [] %}
    {% for number in range(found[1] | int if found else 1) %}{% do queries.append(sql.replace(found[0], number | string) if found else sql) %}{% endfor %}
    {{ return(queries) }}
{% endmacro %}
