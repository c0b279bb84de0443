{# Lists. Positions begin at 1. #}

{# A list of SQL values, for which a type can be given. #}
{% macro list_of(values, data_type=none) %}{{ return(adapter.dispatch('list_of')(values, data_type)) }}{% endmacro %}
{% macro duckdb__list_of(values, data_type) %}{{ return('[' ~ values | join(', ') ~ ']' ~ ('::' ~ data_type ~ '[]' if data_type else '')) }}{% endmacro %}
{% macro spark__list_of(values, data_type) %}
    {% set list = 'array(' ~ values | join(', ') ~ ')' %}
    {{ return('cast(' ~ list ~ ' as array<' ~ sql_type(data_type) ~ '>)' if data_type else list) }}
{% endmacro %}

{# A list's item at a position; null behind its end. #}
{% macro list_item(list, position) %}{{ return(adapter.dispatch('list_item')(list, position)) }}{% endmacro %}
{% macro duckdb__list_item(list, position) %}{{ return(list ~ '[' ~ position ~ ']') }}{% endmacro %}
{% macro spark__list_item(list, position) %}{{ return('get(' ~ list ~ ', ' ~ (position - 1) ~ ')') }}{% endmacro %}

{# A list with an expression over each item, which has a name in it. #}
{% macro list_transform(list, name, expression) %}{{ return(adapter.dispatch('list_transform')(list, name, expression)) }}{% endmacro %}
{% macro duckdb__list_transform(list, name, expression) %}{{ return('list_transform(' ~ list ~ ', lambda ' ~ name ~ ': ' ~ expression ~ ')') }}{% endmacro %}
{% macro spark__list_transform(list, name, expression) %}{{ return('transform(' ~ list ~ ', ' ~ name ~ ' -> ' ~ expression ~ ')') }}{% endmacro %}

{# The items of a list for which a condition is true. #}
{% macro list_filter(list, name, condition) %}{{ return(adapter.dispatch('list_filter')(list, name, condition)) }}{% endmacro %}
{% macro duckdb__list_filter(list, name, condition) %}{{ return('list_filter(' ~ list ~ ', lambda ' ~ name ~ ': ' ~ condition ~ ')') }}{% endmacro %}
{% macro spark__list_filter(list, name, condition) %}{{ return('filter(' ~ list ~ ', ' ~ name ~ ' -> ' ~ condition ~ ')') }}{% endmacro %}

{# The sum of a list of whole numbers; null if it has none. #}
{% macro list_sum(list) %}{{ return(adapter.dispatch('list_sum')(list)) }}{% endmacro %}
{% macro duckdb__list_sum(list) %}{{ return('list_sum(' ~ list ~ ')') }}{% endmacro %}
{% macro spark__list_sum(list) %}
    {{ return('case when size(' ~ list ~ ') > 0 then aggregate(' ~ list ~ ', cast(0 as bigint), (total, item) -> total + item) end') }}
{% endmacro %}

{# Whether a list has an item. #}
{% macro list_contains(list, item) %}{{ return(adapter.dispatch('list_contains')(list, item)) }}{% endmacro %}
{% macro duckdb__list_contains(list, item) %}{{ return('list_contains(' ~ list ~ ', ' ~ item ~ ')') }}{% endmacro %}
{% macro spark__list_contains(list, item) %}{{ return('array_contains(' ~ list ~ ', ' ~ item ~ ')') }}{% endmacro %}

{# A list with one more item. #}
{% macro list_append(list, item) %}{{ return(adapter.dispatch('list_append')(list, item)) }}{% endmacro %}
{% macro duckdb__list_append(list, item) %}{{ return('list_append(' ~ list ~ ', ' ~ item ~ ')') }}{% endmacro %}
{% macro spark__list_append(list, item) %}{{ return('array_append(' ~ list ~ ', ' ~ item ~ ')') }}{% endmacro %}

{# The distinct values of a group, in order, as a list; null if there are none. #}
{% macro distinct_list(value) %}{{ return(adapter.dispatch('distinct_list')(value)) }}{% endmacro %}
{% macro duckdb__distinct_list(value) %}{{ return('list(distinct ' ~ value ~ ' order by ' ~ value ~ ')') }}{% endmacro %}
{% macro spark__distinct_list(value) %}{{ return('nullif(array_sort(collect_set(' ~ value ~ ')), array())') }}{% endmacro %}

{# A row for each item of a list. #}
{% macro unnested(list) %}{{ return(adapter.dispatch('unnested')(list)) }}{% endmacro %}
{% macro duckdb__unnested(list) %}{{ return('unnest(' ~ list ~ ')') }}{% endmacro %}
{% macro spark__unnested(list) %}{{ return('explode(' ~ list ~ ')') }}{% endmacro %}

{# A row for each place in lists of one length: a mapping from the names of columns to lists. #}
{% macro unnested_together(lists) %}{{ return(adapter.dispatch('unnested_together')(lists)) }}{% endmacro %}
{% macro duckdb__unnested_together(lists) %}
    {% set parts = [] %}
    {% for name, list in lists.items() %}{% do parts.append('unnest(' ~ list ~ ') as ' ~ name) %}{% endfor %}
    {{ return(parts | join(', ')) }}
{% endmacro %}
{% macro spark__unnested_together(lists) %}
    {{ return('inline(arrays_zip(' ~ lists.values() | join(', ') ~ ')) as (' ~ lists.keys() | join(', ') ~ ')') }}
{% endmacro %}

{# The whole numbers from 1 to a last one, as a list. #}
{% macro numbers_to(last) %}{{ return(adapter.dispatch('numbers_to')(last)) }}{% endmacro %}
{% macro duckdb__numbers_to(last) %}{{ return('range(1, ' ~ last ~ ' + 1)') }}{% endmacro %}
{% macro spark__numbers_to(last) %}{{ return('case when ' ~ last ~ ' > 0 then sequence(cast(1 as bigint), ' ~ last ~ ') end') }}{% endmacro %}
