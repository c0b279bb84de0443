{# Spark's parse of the entering records: the same texts, types and reasons as macros/parse.sql, by Spark's own JSON functions.
   docs/engines.md says where it differs. #}

{% macro spark__parse_records(dataset) %}
{% set _ = source('bronze', dataset) %}
{% set the = contract(dataset) %}
{% set lines = the.meta.format == 'json_lines' %}
{% set names = the.columns | map(attribute='name') | list %}
{% set layouts = [] if lines else layouts_of(dataset) %}
{% set places = places_in_line(dataset) if lines else [] %}
{% do assert_spark_reads(the, places) %}
with batches as (
    select batch_id, source, window_date, landed_at from {{ ref('plan_batches') }}
    where dataset = '{{ dataset }}' and is_entering
),

bronze as (
    {{ read_bronze(dataset) }}
),

identified as (
    select bronze.*, struct(bronze.*) as bronze_row, batches.batch_id, batches.source, batches.window_date, batches.landed_at
    from bronze
    inner join batches on batches.batch_id = {{ batch_of_record() }}
),

{% if lines %}
parsed as (
    select *, {{ parsed_with_hash('raw') }} as line
    -- a byte order mark at the start of a file is no part of its first line
    from (select {{ star_replacing({'raw': "case when startswith(raw, decode(X'EFBBBF', 'UTF-8')) then substring(raw, 2) else raw end"}) }} from identified)
),

read as (
    select
        *,
        case
            when startswith(raw, '{{ forgotten_mark() }}') then 'forgotten'
            when raw_start is not null then 'too_long'
            -- a line without a newline may have been landed while it was still being written
            when raw is null
                then case
                    when is_cut and source <> 'corrections'
                        and ({% for left in range(1, 4) %}is_valid_utf8(substring(raw_bytes, 1, octet_length(raw_bytes) - {{ left }})){{ ' or ' if not loop.last }}{% endfor %})
                        then 'half_line' else 'invalid_utf8'
                end
            -- DuckDB reads these as numbers
            when regexp_like(raw, '(?i)^\s*[+-]?(nan|inf|infinity)\s*$') then 'not_an_object'
            when not {{ is_one_value('line', 'raw') }} or {{ has_half_a_surrogate('raw') }}
                then case when is_cut and source <> 'corrections' then 'half_line' else 'broken_json' end
            {%- if the.meta.get('each') %}
            -- an answer of an API that has nothing to say
            when regexp_like(raw, '^\s*\[\s*\]\s*$') then 'not_selected'
            {%- endif %}
            when schema_of_variant(variant_get(line, '$[0]', 'variant')) not like 'OBJECT<%' then 'not_an_object'
        end as unreadable
    from parsed
),

{#- of a list, the first object whose key has the value: its place in the list, then itself as a value and as text #}
{%- set lists = places | selectattr('list') | list %}
{% if lists %}
listed as (
    select *{% for place in lists %}, try_variant_get(case when unreadable is null then {{ value_at(place.list) }} end, '$', 'array<variant>') as list_{{ place.number }}{% endfor %}
    from read
),

searched as (
    select *{% for place in lists %}, {{ place_in_list(place) }} as at_{{ place.number }}{% endfor %}
    from listed
),

opened as (
    select *{% for place in lists %}, get(list_{{ place.number }}, at_{{ place.number }}) as line_{{ place.number }}, get_json_object(raw, {{ path_in_list(place) }}) as raw_{{ place.number }}{% endfor %}
    from searched
),

{% endif %}
valued as (
    select
        *,
        case when unreadable is null then json_object_keys(raw) end as keys
        {%- for place in places %},
        case when unreadable is null then {{ value_at(place) }} end as value_{{ loop.index }}
        {%- endfor %}
    from {{ 'opened' if lists else 'read' }}
),

found as (
    select
        batch_id, record_no, window_date, landed_at, bronze_row, unreadable, raw, keys
        {%- for place in lists %}, at_{{ place.number }}{% endfor %}
        {%- for place in places %},
        schema_of_variant(value_{{ loop.index }}) as type_{{ loop.index }},
        try_variant_get(value_{{ loop.index }}, '$', 'string') as found_{{ loop.index }},
        {{ 'case when unreadable is null then get_json_object(' ~ place.raw ~ ', ' ~ literal(place.object_path) ~ ') end' if place.is_written else 'cast(null as string)' }} as written_{{ loop.index }}
        {%- endfor %}
    from valued
),

texts as (
    select
        batch_id, record_no, false as is_deleted, window_date, landed_at, bronze_row,
        array(
            {%- for column in the.columns %}
            {%- set kinds = [] %}
            {%- for place in places if place.of == column.name %}{% do kinds.append(json_kind(place.number)) %}{% endfor %}
            {#- a column may have several names in a line; the first that has a value there counts #}
            {%- if kinds | length > 1 %}
            coalesce({% for kind in kinds %}nullif({{ kind }}, 'NULL'), {% endfor %}'NULL')
            {%- else %}
            {{ kinds[0] }}
            {%- endif %}{{ ', ' if not loop.last }}
            {%- endfor %}
        ) as kinds,
        case when unreadable is not null then unreadable when size(array_distinct(keys)) <> size(keys) then 'duplicate_key' end as unreadable
        {%- for column in the.columns %},
        {%- set written = [] %}
        {%- for place in places if place.of == column.name %}{% do written.append(json_text(place, column)) %}{% endfor %}
        {{ row_id(dataset, column.name) or text_of(column, written) }} as text_{{ column.name }}
        {%- endfor %}
        {%- for condition in conditions(dataset) %},
        {%- set of, written = 'selecting_' ~ loop.index, [] %}
        {%- for place in places if place.of == of %}{% do written.append(json_text(place)) %}{% endfor %}
        {{ text_of({'config': {}}, written) }} as {{ of }}
        {%- endfor %}
        {%- if conditions(dataset) %},
        {{ is_selected(dataset) }} as is_selected{% endif %}
    from found
),
{% else %}
texts as (
    select
        batch_id, record_no, window_date, landed_at, bronze_row, is_deleted, not_utf8,
        case
            when bad_row is not null then bad_row.reason
            when {% for name in names %}coalesce(octet_length(text_{{ name }}), 0) + {% endfor %}0 > {{ longest_record(dataset) }} then 'too_long'
        end as unreadable
        {%- for name in names %},
        {{ row_id(dataset, name) or 'case when octet_length(text_' ~ name ~ ') <= ' ~ longest_record(dataset) ~ ' then text_' ~ name ~ ' end' }} as text_{{ name }}{% endfor %}
        {%- if conditions(dataset) %},
        {{ is_selected(dataset) }} as is_selected{% endif %}
    from identified
),
{% endif %}
{{ typed_records(dataset, layouts) }}
{% endmacro %}

{# What a contract may say that Spark does not read: an error, never another value. #}
{% macro assert_spark_reads(the, places) %}
    {% set unread = [] %}
    {% for column in (the.columns if execute else []) %}
        {% set meta = column.config.meta or {} %}
        {% for format in as_list(meta.get('time_format') or []) if is_other_on_spark(format) %}{% do unread.append(('time_format ' ~ format, column.name)) %}{% endfor %}
        {% for pattern in [meta.get('pattern') or ''] + patterns_in((meta.get('values') or {}).values()) if is_other_in_java(pattern) %}{% do unread.append(('the pattern ' ~ pattern, column.name)) %}{% endfor %}
        {% for value, texts in (meta.get('values') or {}).items() if modules.re.search('\\\\\\d', as_text(value)) %}
            {% for pattern in patterns_in([texts]) if are_other_parts(pattern, as_text(value)) %}{% do unread.append(('a value made of parts of ' ~ pattern, column.name)) %}{% endfor %}
        {% endfor %}
    {% endfor %}
    {% for place in places %}
        {% if place.list and is_other_value(place.list.value) %}{% do unread.append(('the search in a list ' ~ place.name, place.of)) %}{% endif %}
        {% if modules.re.search("\\['[*]'\\]|\\['[^']*[?]", (place.list.object_path if place.list else '') ~ place.object_path) or (not is_path(place.name) and "'" in place.name) %}
            {% do unread.append(('the name ' ~ place.name, place.of)) %}
        {% endif %}
    {% endfor %}
    {% for condition in (the.meta.get('where') or [] if execute else []) %}
        {% for pattern in patterns_in([condition['is'] if 'is' in condition else condition['is_not']]) if is_other_in_java(pattern) %}{% do unread.append(('the pattern ' ~ pattern, 'where')) %}{% endfor %}
    {% endfor %}
    {% for said, name in unread %}
        {{ exceptions.raise_compiler_error('the contract says ' ~ said ~ ' for ' ~ name ~ ', which Spark does not read. Next: build on one machine, without --engine spark') }}
    {% endfor %}
{% endmacro %}

{# The patterns, without their slashes, among the texts that some values of a contract say, each one or several. #}
{% macro patterns_in(said) %}
    {% set found = [] %}
    {% for texts in said %}
        {% for one in as_list(texts) if one | length > 2 and one[0] == '/' and one[-1] == '/' %}{% do found.append(one[1:-1]) %}{% endfor %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{# Whether Java may read a pattern otherwise than RE2, without an error: a bracket or && within brackets, and flags. #}
{% macro is_other_in_java(pattern) %}
    {{ return(modules.re.search('\\[\\^?\\]?[^\\]]*(\\[|&&)|\\(\\?(?!i?s?[:)])', modules.re.sub('\\\\.', 'x', pattern)) is not none) }}
{% endmacro %}

{# Whether a time format is read by DuckDB in a way that Spark's parts do not have: blanks at its start, of which DuckDB reads no text; a part
   of the time twice; seconds of an offset. #}
{% macro is_other_on_spark(format) %}
    {% set odd = ['^\\s', '%z:'] %}
    {% for part in ('[Yy]', '[mbB]', 'd', '[HI]', 'M', 'S', 'f', 'p', 'z') %}{% do odd.append('%' ~ part ~ '.*%' ~ part) %}{% endfor %}
    {{ return(modules.re.search(odd | join('|'), format) is not none) }}
{% endmacro %}

{# Whether the parts of a text by a pattern, or the value made of them, may be others in Java: where what repeats may be empty, and
   where a backslash stands before another sign than a digit or a backslash. #}
{% macro are_other_parts(pattern, value) %}
    {% if not modules.re.fullmatch('(?s)(?:[^\\\\]|\\\\[0-9\\\\])*', value) %}{{ return(true) }}{% endif %}
    {% set open, at, found = [], namespace(place=0), [] %}
    {% for part in parts_of_pattern(pattern) %}
        {% if part == '(' %}{% do open.append(at.place) %}{% endif %}
        {% set at.place = at.place + part | length %}
        {% if part == ')' %}
            {% set group = pattern[open.pop():at.place] %}
            {% if pattern[at.place:at.place + 1] in ('*', '+', '{') and modules.re.fullmatch(group, '') %}{% do found.append(group) %}{% endif %}
        {% endif %}
    {% endfor %}
    {{ return(found | length > 0) }}
{% endmacro %}

{# Whether a text that a list is searched for may be a number or an object that Java writes otherwise than DuckDB. #}
{% macro is_other_value(text) %}
    {{ return(modules.re.fullmatch('(?i)[+-]?(?:nan|inf|infinity|[0-9.]+e.*|[0-9]*[.][0-9]*|[0-9]{19,})|-0|[{].*', text) is not none) }}
{% endmacro %}

{# The places that are read in a line: each name of each column, and of each condition, with its number, what it is `of`, and
   whether it matters how a number there `is_written`, which takes another parse. A place is read in the line, `raw` as text and `line` as a
   value, or in what was found in the `list` of another place. #}
{% macro places_in_line(dataset) %}
    {% set places = [] %}
    {% for column in contract(dataset).columns %}
        {% set names = names_at_source(column) %}
        {% set is_written = names | length > 1 or column.data_type == 'json' or 'BIGINT' in json_kinds(column) or 'OBJECT' in json_kinds(column) or 'ARRAY' in json_kinds(column) %}
        {% for name in names %}{% do places.append(place_in_line(name, column.name, places | length + 1, is_written)) %}{% endfor %}
    {% endfor %}
    {% for condition in conditions(dataset) %}
        {% set of = 'selecting_' ~ loop.index %}
        {% for name in as_list(condition['from']) %}{% do places.append(place_in_line(name, of, places | length + 1, true)) %}{% endfor %}
    {% endfor %}
    {{ return(places) }}
{% endmacro %}

{% macro place_in_line(name, of, number, is_written) %}
    {% set place = {'name': name, 'of': of, 'number': number, 'is_written': is_written} %}
    {% if not is_path(name) or '=' not in name %}
        {{ return(dict(place, raw='raw', line='line', path=variant_path(name), object_path=object_path(name), steps=steps_of_path(name) if is_path(name) else [])) }}
    {% endif %}
    {% set list, search, rest = modules.re.split('\\[(\\w+=[^\\]]+)\\]', name, maxsplit=1) %}
    {% set key, _, value = search.partition('=') %}
    {% set searched = {'raw': 'raw', 'line': 'line', 'path': variant_path(list), 'object_path': list, 'steps': steps_of_path(list), 'key': key, 'value': value} %}
    {{ return(dict(place, raw='raw_' ~ number, line='line_' ~ number, path='$' ~ rest, object_path='$' ~ rest, steps=steps_of_path(rest), list=searched)) }}
{% endmacro %}

{# The place in a list of the first object whose key has the value that the list is searched for, from 0; null if there is none. #}
{% macro place_in_list(place) -%}
    {%- set list, key = 'list_' ~ place.number, literal(place.list.key) -%}
    {%- set texts = "from_json(case when " ~ list ~ " is not null then get_json_object(raw, " ~ literal(place.list.object_path) ~ ") end, 'array<string>')" -%}
    {#- a text within the list may look like an object -#}
    {%- set keys = "transform(" ~ texts ~ ", (one, place) -> case when schema_of_variant(get(" ~ list ~ ", place)) like 'OBJECT%' then from_json(one, 'map<string, string>')[" ~ key ~ "] end)" -%}
    cast(nullif(array_position({{ keys }}, {{ literal(place.list.value) }}), 0) as integer) - 1
{%- endmacro %}

{# The path of what was found in a list, in SQL. #}
{% macro path_in_list(place) %}{{ return("concat(" ~ literal(place.list.object_path ~ '[') ~ ", at_" ~ place.number ~ ", ']')") }}{% endmacro %}

{# A name at the source as a path into a list of one line. #}
{% macro variant_path(name) %}{{ return('$[0]' ~ (name[1:] if is_path(name) else '["' ~ name ~ '"]')) }}{% endmacro %}

{# The same as a path into the line itself, for get_json_object(). #}
{% macro object_path(name) %}{{ return(name if is_path(name) else '$.' ~ name if modules.re.fullmatch('\\w+', name) else "$['" ~ name ~ "']") }}{% endmacro %}

{# A value of a line. Of two values under one key, a variant keeps the last one, and DuckDB reads the first: so a line that may have
   such an object on the way is read step by step. A key of the line itself that is there twice refuses the line. #}
{% macro value_at(place) -%}
    {%- set raw, steps = place.raw, place.steps -%}
    {%- set value = "variant_get(" ~ place.line ~ ", " ~ literal(place.path) ~ ", 'variant')" -%}
    {%- set repeated, first = [], namespace(value=place.line) -%}
    {%- for step in steps -%}
        {%- set before = '$' ~ (steps[:loop.index0] | join('')) -%}
        {%- set key = modules.re.sub("^\\.|^\\['|'\\]$", '', step) -%}
        {%- if loop.first and not place.list -%}
            {%- set first.value = "variant_get(line, " ~ literal('$[0]' ~ step) ~ ", 'variant')" -%}
        {%- elif step[-1] == ']' and step[-2] != "'" -%}
            {%- set first.value = "get(from_json(case when schema_of_variant(" ~ first.value ~ ") like 'ARRAY%' then get_json_object(" ~ raw ~ ", " ~ literal(before) ~ ") end, 'array<variant>'), " ~ step[1:-1] ~ ")" -%}
        {%- else -%}
            {%- set first.value = "from_json(case when schema_of_variant(" ~ first.value ~ ") like 'OBJECT%' then get_json_object(" ~ raw ~ ", " ~ literal(before) ~ ") end, 'map<string, variant>')[" ~ literal(key) ~ "]" -%}
            {%- do repeated.append("regexp_count(" ~ raw ~ ", " ~ literal('"' ~ modules.re.escape(key) ~ '"\\s*:') ~ ") > 1") -%}
        {%- endif -%}
    {%- endfor -%}
    {#- a key may be written with escapes #}
    {%- if repeated -%} case when contains({{ raw }}, chr(92)) or {{ repeated | join(' or ') }} then {{ first.value }} else {{ value }} end
    {%- else -%} {{ value }}
    {%- endif -%}
{%- endmacro %}

{# The steps of a path, each as it is written. #}
{% macro steps_of_path(path) %}{{ return(modules.re.findall("\\.[^.\\[]+|\\['[^']+'\\]|\\[\\d+\\]", path)) }}{% endmacro %}

{# The kind of a value of a line as DuckDB names it. A fraction, an exponent or a number past 64 bits makes a DOUBLE. #}
{% macro json_kind(number) -%}
    {%- set type, written = 'type_' ~ number, 'written_' ~ number -%}
    case
            when {{ type }} is null then null
            when {{ type }} = 'VOID' then 'NULL'
            when {{ type }} = 'STRING' then 'VARCHAR'
            when {{ type }} = 'BOOLEAN' then 'BOOLEAN'
            when {{ type }} like 'ARRAY%' then 'ARRAY'
            when {{ type }} like 'OBJECT%' then 'OBJECT'
            when regexp_like({{ written }}, '^-?[0-9]{1,18}$') or try_cast({{ written }} as bigint) is not null and not regexp_like({{ written }}, '[.eE]') then 'BIGINT'
            when regexp_like({{ written }}, '^[0-9]+$') and try_cast({{ written }} as decimal(38, 0)) <= 18446744073709551615 then 'UBIGINT'
            else 'DOUBLE'
        end
{%- endmacro %}

{# A value of a line as text, as DuckDB writes it. A condition has no column. #}
{% macro json_text(place, column=none) -%}
    {%- set type, found, written = 'type_' ~ place.number, 'found_' ~ place.number, 'written_' ~ place.number -%}
    {%- if not place.is_written -%}
        {{ return("case when " ~ type ~ " <> 'VOID' then " ~ found ~ " end") }}
    {%- endif -%}
    {%- set marked = marked_fractions('raw') -%}
    {%- if place.list -%}{%- set marked = 'get_json_object(' ~ marked ~ ', ' ~ path_in_list(place) ~ ')' -%}{%- endif -%}
    {%- set marked = 'get_json_object(' ~ marked ~ ', ' ~ literal(place.object_path) ~ ')' -%}
    {%- set as_in_line = column is not none -%}
    case
            when {{ type }} = 'VOID' then null
            when {{ type }} in ('STRING', 'BOOLEAN') then {{ found }}
            {#- it does not matter how an amount is written, but for the exponent of a small one, and for many digits, of which value_at may have lost some #}
            {%- if column and column.data_type.startswith('decimal') %}
            when {{ type }} <> 'DOUBLE' and (abs(try_cast({{ found }} as double)) >= 0.0001 or {{ found }} = '0')
                {%- if place.steps | length > 1 or place.list %} and not regexp_like(raw, '[0-9.]{17}|[0-9]{16}[eE]'){% endif %} then {{ found }}
            {%- endif %}
            {#- only in these may Java write a fraction, or a sign of two surrogates, otherwise #}
            when {{ type }} like 'ARRAY%' or {{ type }} like 'OBJECT%'
                then case when regexp_like({{ written }}, '[0-9]E|Infinity|[0-9.]{17}|\\uD[89AB]') then {{ as_duckdb_writes(marked, as_in_line) }} else {{ written }} end
            when regexp_like({{ written }}, '^-?[0-9]+$') then {{ written }}
            when {{ type }} is not null then {{ fraction_text('substring(' ~ marked ~ ', 9)', as_in_line, is_cast=as_in_line and not is_path(place.name)) }}
        end
{%- endmacro %}

{# A line, with each number that has a fraction or an exponent replaced by a marked string: Java reads and writes them in its own way. #}
{% macro marked_fractions(raw) -%}
    array_join(transform(
                regexp_extract_all({{ raw }}, '"(?:[^"\\]++|\\.)*+"|-?[0-9][0-9.]*+(?:[eE][+-]?[0-9]++)?|[^"0-9-]++|-', 0),
                part -> case when regexp_like(part, '^-?[0-9]+[.eE]') then concat('"\u0001number ', part, '"') else part end
            ), '')
{%- endmacro %}

{# Java's JSON text of an object or a list, with the marked numbers in it, and signs that Java escapes, as DuckDB writes them. #}
{% macro as_duckdb_writes(text, as_in_line) -%}
    array_join(transform(
                regexp_extract_all({{ text }}, '"(?:[^"\\]++|\\.)*+"|[^"]++', 0),
                part -> case
                    when regexp_like(part, '^"\\u0001number -?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?"$') then {{ fraction_text('substring(part, 15, length(part) - 15)', as_in_line) }}
                    when contains(part, '\uD') then {{ unescaped_surrogates('part') }}
                    else part
                end
            ), '')
{%- endmacro %}

{# A string of JSON without escapes for the signs that are two surrogates in UTF-16. #}
{% macro unescaped_surrogates(string) -%}
    array_join(transform(
                        regexp_extract_all({{ string }}, '\\uD[89AB][0-9A-F]{2}\\uD[C-F][0-9A-F]{2}|\\.|[^\\]++', 0),
                        sign -> case when startswith(sign, '\uD') then get_json_object(concat('["', sign, '"]'), '$[0]') else sign end
                    ), '')
{%- endmacro %}

{# A number of JSON with a fraction or an exponent, as DuckDB writes the double that it reads: as JSON, or where it `is_cast` to a text.
   A number that a double changes is `as_in_line`, or else the double. #}
{% macro fraction_text(number, as_in_line, is_cast=false) -%}
    {%- set text = double_text(is_cast) -%}
    {%- if as_in_line -%}
        {%- set text = 'case when ' ~ significant_digits('number') ~ ' > 15 and ' ~ double_text(true) ~ ' <> number then number else ' ~ text ~ ' end' -%}
    {%- endif -%}
    {{ with_name('number', number, with_name('double', 'cast(number as double)', with_name('java', 'cast(double as string)', text))) }}
{%- endmacro %}

{# The shortest text of a `double`, whose text in Java is `java` and in the line `number`. Cast to a text, it has an exponent sooner than
   in JSON. Java before 19 has longer texts for some doubles. #}
{% macro double_text(is_cast) -%}
    {%- set shortest = "coalesce(get(filter(transform(sequence(0, 16), decimals -> format_string(concat('%.', decimals, 'e'), double)), one -> cast(one as double) = double), 0), lower(java))" -%}
    {%- set plain = "case when abs(double) >= 1 then cast(cast(shortest as decimal(38, 17)) as string) else cast(cast(shortest as decimal(38, 24)) as string) end" -%}
    {%- set text -%}
        case
            when abs(double) >= {{ '0.0001' if is_cast else '0.000001' }} and abs(double) < {{ '1e16' if is_cast else '1e21' }}
                then regexp_replace(regexp_replace({{ plain }}, '0+$', ''), '[.]$', '.0')
            else {{ 'shortest' if is_cast else "regexp_replace(shortest, 'e[+]?(-?)0*', 'e$1')" }}
        end
    {%- endset -%}
    case
        when java in ('Infinity', '-Infinity') then number
        when length(java) < 18 and not contains(java, 'E') then java
        else {{ with_name('shortest', shortest, text) }}
    end
{%- endmacro %}

{# An expression in which a value has a name, so that it is computed once. #}
{% macro with_name(name, value, expression) %}{{ return('get(transform(array(' ~ value ~ '), ' ~ name ~ ' -> ' ~ expression ~ '), 0)') }}{% endmacro %}

{% macro spark__significant_digits(number) -%}
    octet_length(regexp_replace(regexp_replace({{ number }}, '(\.0*|(\.[0-9]*[1-9])0+)?([eE].*)?$', '$2'), '^-?[0.]*|\.', ''))
{%- endmacro %}
