{# Values and types: the only SQL of this project that differs by engine is in this folder. A macro without a prefix is what
   models call; its versions begin with the name of dbt's adapter. Spark runs in ANSI mode, in UTC, with timestamps without a
   zone, and no escapes in 'texts': the profile sets that. #}

{# Text as a literal. #}
{% macro literal(text) %}{{ return(adapter.dispatch('literal')(text)) }}{% endmacro %}
{% macro duckdb__literal(text) %}{{ return("'" ~ text.replace("'", "''") ~ "'") }}{% endmacro %}
{# Without escapes, a text cannot contain the quote that ends it, nor end with a backslash, behind which a quote ends nothing. #}
{% macro spark__literal(text) %}
    {% set parts = [] %}
    {% for piece in text.split("'") %}
        {% if not loop.first %}{% do parts.append('chr(39)') %}{% endif %}
        {% set is_open = (piece | length - piece.rstrip('\\') | length) % 2 == 1 %}
        {% do parts.append("'" ~ (piece[:-1] if is_open else piece) ~ "'") %}
        {% if is_open %}{% do parts.append('chr(92)') %}{% endif %}
    {% endfor %}
    {{ return(parts[0] if parts | length == 1 else 'concat(' ~ parts | join(', ') ~ ')') }}
{% endmacro %}

{# A column's name, whatever is in it. #}
{% macro quoted_name(name) %}{{ return(adapter.dispatch('quoted_name')(name)) }}{% endmacro %}
{% macro duckdb__quoted_name(name) %}{{ return('"' ~ name.replace('"', '""') ~ '"') }}{% endmacro %}
{% macro spark__quoted_name(name) %}{{ return('`' ~ name.replace('`', '``') ~ '`') }}{% endmacro %}

{# The engine's name of a type that a contract or a model's YAML declares. #}
{% macro sql_type(data_type) %}{{ return(adapter.dispatch('sql_type')(data_type)) }}{% endmacro %}
{% macro duckdb__sql_type(data_type) %}{{ return(data_type) }}{% endmacro %}
{% macro spark__sql_type(data_type) %}
    {% set type = data_type | lower %}
    {% set names = {'varchar': 'string', 'json': 'string', 'hugeint': 'decimal(38, 0)', 'timestamptz': 'timestamp_ltz', 'timestamp': 'timestamp_ntz', 'blob': 'binary'} %}
    {% if type.endswith('[]') %}{{ return('array<' ~ sql_type(type[:-2]) ~ '>') }}{% endif %}
    {% if type.startswith('map(') %}{{ return('map<' ~ (type[4:-1].split(', ') | map('replace', 'varchar', 'string') | join(', ')) ~ '>') }}{% endif %}
    {% if type.startswith('struct(') %}{{ return('struct<' ~ type[7:-1].replace('varchar', 'string').replace('blob', 'binary') ~ '>') }}{% endif %}
    {{ return(names.get(type, type)) }}
{% endmacro %}

{# A whole number of up to 38 digits. #}
{% macro as_hugeint(number) %}{{ return('cast(' ~ number ~ ' as ' ~ sql_type('hugeint') ~ ')') }}{% endmacro %}

{# Whether a whole text matches a pattern, in both cases if `options` is 'i'. #}
{% macro regexp_full_match(text, pattern, options='') %}{{ return(adapter.dispatch('regexp_full_match')(text, pattern, options)) }}{% endmacro %}
{% macro duckdb__regexp_full_match(text, pattern, options) %}
    {{ return('regexp_full_match(' ~ text ~ ', ' ~ pattern ~ (", '" ~ options ~ "'" if options else '') ~ ')') }}
{% endmacro %}
{% macro spark__regexp_full_match(text, pattern, options) %}
    {{ return("regexp_like(" ~ text ~ ", concat('(?d" ~ options ~ ")\\A(?:', " ~ pattern_in_java(pattern) ~ ", ')\\z'))") }}
{% endmacro %}

{# Java's own meaning of some signs is another one: a dot excludes more ends of lines, $ is before a last one too, \s has one more sign and
   \v has several, and a word may have letters of any language, but those alike but for their case are only the 26. #}
{% macro pattern_in_java(pattern) %}
    {% set signs = {
        '\\s': '[\\t\\n\\f\\r ]', '\\S': '[^\\t\\n\\f\\r ]', '\\v': '\\x0b',
        '\\b': '(?:(?<=\\w)(?!\\w)|(?<!\\w)(?=\\w))', '\\B': '(?:(?<=\\w)(?=\\w)|(?<!\\w)(?!\\w))'
    } %}
    {% set parts = [] %}
    {% for among in parts_of_pattern(pattern) %}
        {% for part in modules.re.findall('\\\\.|[^\\\\]+', among) %}{% do parts.append(signs.get(part, part if among[0] in '[\\' else part.replace('$', '\\z'))) %}{% endfor %}
    {% endfor %}
    {{ return((parts | join('')).replace('(?i', '(?iu')) }}
{% endmacro %}

{# The signs of a pattern: one that is escaped, all within brackets, and each other one by itself. #}
{% macro parts_of_pattern(pattern) %}
    {{ return(modules.re.findall('(?s)\\\\.|\\[\\^?\\]?(?:\\\\.|[^\\\\\\]])*\\]|.', pattern)) }}
{% endmacro %}

{# A text that matches a whole pattern, as a text made of its parts: \1 is what the first parentheses match. Any other text stays. #}
{% macro made_of_parts(text, pattern, parts) %}{{ return(adapter.dispatch('made_of_parts')(text, pattern, parts)) }}{% endmacro %}
{% macro duckdb__made_of_parts(text, pattern, parts) %}
    {{ return('regexp_replace(' ~ text ~ ', ' ~ literal('^' ~ pattern ~ '$') ~ ', ' ~ literal(parts) ~ ')') }}
{% endmacro %}
{# Java writes $1 for a part, and takes a digit behind it as one of its number. #}
{% macro spark__made_of_parts(text, pattern, parts) %}
    {% set written = [] %}
    {% for part in modules.re.findall('(?s)\\\\.|.', parts) %}
        {% do written.append('$' ~ part[1] if part | length == 2 and part[1] in '0123456789' else '\\' ~ part[-1] if part[-1] in '\\$0123456789' else part) %}
    {% endfor %}
    {{ return('regexp_replace(' ~ text ~ ', ' ~ literal('(?d)\\A(?:' ~ pattern_in_java(pattern) ~ ')\\z') ~ ', ' ~ literal(written | join('')) ~ ')') }}
{% endmacro %}

{# A text without some signs, which a text lists, at both ends or behind. #}
{% macro trimmed(text, signs) %}{{ return(adapter.dispatch('trimmed')(text, signs)) }}{% endmacro %}
{% macro duckdb__trimmed(text, signs) %}{{ return('trim(' ~ text ~ ', ' ~ signs ~ ')') }}{% endmacro %}
{% macro spark__trimmed(text, signs) %}{{ return('trim(both ' ~ signs ~ ' from ' ~ text ~ ')') }}{% endmacro %}
{% macro trimmed_behind(text, signs) %}{{ return(adapter.dispatch('trimmed_behind')(text, signs)) }}{% endmacro %}
{% macro duckdb__trimmed_behind(text, signs) %}{{ return('rtrim(' ~ text ~ ', ' ~ signs ~ ')') }}{% endmacro %}
{% macro spark__trimmed_behind(text, signs) %}{{ return('trim(trailing ' ~ signs ~ ' from ' ~ text ~ ')') }}{% endmacro %}

{# Whether a part of a text matches a pattern. #}
{% macro regexp_matches(text, pattern) %}{{ return(adapter.dispatch('regexp_matches')(text, pattern)) }}{% endmacro %}
{% macro duckdb__regexp_matches(text, pattern) %}{{ return('regexp_matches(' ~ text ~ ', ' ~ pattern ~ ')') }}{% endmacro %}
{% macro spark__regexp_matches(text, pattern) %}{{ return('regexp_like(' ~ text ~ ', ' ~ pattern ~ ')') }}{% endmacro %}

{# A text with every match of a pattern replaced. #}
{% macro regexp_replace_all(text, pattern, replacement) %}{{ return(adapter.dispatch('regexp_replace_all')(text, pattern, replacement)) }}{% endmacro %}
{% macro duckdb__regexp_replace_all(text, pattern, replacement) %}{{ return('regexp_replace(' ~ text ~ ', ' ~ pattern ~ ', ' ~ replacement ~ ", 'g')") }}{% endmacro %}
{% macro spark__regexp_replace_all(text, pattern, replacement) %}{{ return('regexp_replace(' ~ text ~ ', ' ~ pattern ~ ', ' ~ replacement ~ ')') }}{% endmacro %}

{# A text in Unicode's composed form. Spark has no function for it: there, a term typed in the decomposed form stays another term. #}
{% macro nfc_normalize(text) %}{{ return(adapter.dispatch('nfc_normalize')(text)) }}{% endmacro %}
{% macro duckdb__nfc_normalize(text) %}{{ return('nfc_normalize(' ~ text ~ ')') }}{% endmacro %}
{% macro spark__nfc_normalize(text) %}{{ return(text) }}{% endmacro %}

{# The length of a text in bytes of UTF-8. #}
{% macro byte_length(text) %}{{ return(adapter.dispatch('byte_length')(text)) }}{% endmacro %}
{% macro duckdb__byte_length(text) %}{{ return('strlen(' ~ text ~ ')') }}{% endmacro %}
{% macro spark__byte_length(text) %}{{ return('octet_length(' ~ text ~ ')') }}{% endmacro %}

{# A number for some values, to group by: equal values have equal numbers, and seldom others have. #}
{% macro hash_of(values) %}{{ return(adapter.dispatch('hash_of')(values)) }}{% endmacro %}
{% macro duckdb__hash_of(values) %}{{ return('hash(' ~ values ~ ')') }}{% endmacro %}
{% macro spark__hash_of(values) %}{{ return('xxhash64(' ~ values ~ ')') }}{% endmacro %}

{# A hash in hexadecimal digits as a whole number of 60 bits, as text. #}
{% macro number_of_hash(hash) %}{{ return(adapter.dispatch('number_of_hash')(hash)) }}{% endmacro %}
{% macro duckdb__number_of_hash(hash) %}{{ return("cast(cast('0x' || left(" ~ hash ~ ", 15) as bigint) as varchar)") }}{% endmacro %}
{% macro spark__number_of_hash(hash) %}{{ return('conv(left(' ~ hash ~ ', 15), 16, 10)') }}{% endmacro %}

{# A struct of named values: a mapping from names to SQL. #}
{% macro struct_of(fields) %}{{ return(adapter.dispatch('struct_of')(fields)) }}{% endmacro %}
{% macro duckdb__struct_of(fields) %}
    {% set parts = [] %}
    {% for name, sql in fields.items() %}{% do parts.append("'" ~ name ~ "': " ~ sql) %}{% endfor %}
    {{ return('{' ~ parts | join(', ') ~ '}') }}
{% endmacro %}
{% macro spark__struct_of(fields) %}
    {% set parts = [] %}
    {% for name, sql in fields.items() %}{% do parts.append("'" ~ name ~ "', " ~ sql) %}{% endfor %}
    {{ return('named_struct(' ~ parts | join(', ') ~ ')') }}
{% endmacro %}

{# A struct or a list as JSON text, with its nulls. #}
{% macro to_json_text(struct) %}{{ return(adapter.dispatch('to_json_text')(struct)) }}{% endmacro %}
{% macro duckdb__to_json_text(struct) %}{{ return('cast(to_json(' ~ struct ~ ') as varchar)') }}{% endmacro %}
{% macro spark__to_json_text(struct) %}{{ return("to_json(" ~ struct ~ ", map('ignoreNullFields', 'false'))") }}{% endmacro %}

{# A JSON object as text, from its names and values in turn. #}
{% macro json_object_text(pairs) %}{{ return(adapter.dispatch('json_object_text')(pairs)) }}{% endmacro %}
{% macro duckdb__json_object_text(pairs) %}{{ return('cast(json_object(' ~ pairs ~ ') as varchar)') }}{% endmacro %}
{% macro spark__json_object_text(pairs) %}{{ return(to_json_text('named_struct(' ~ pairs ~ ')')) }}{% endmacro %}

{# Whether a text is JSON: one value, and nothing that only one of the engines takes for JSON. #}
{% macro is_json(text) %}{{ return(adapter.dispatch('is_json')(text)) }}{% endmacro %}
{% macro duckdb__is_json(text) %}
    {#- in a list, what stands alone has a bracket before it, as is_no_json() looks for -#}
    {% set listed = "('[' || " ~ text ~ " || ']')" %}
    {{ return('json_valid(' ~ text ~ ') and not (' ~ may_be_lenient(listed) ~ ' and ' ~ is_no_json(without_strings(listed)) ~ ')') }}
{% endmacro %}
{% macro spark__is_json(text) %}
    {{ return(is_one_value(parsed_with_hash(text), text) ~ ' and not ' ~ has_half_a_surrogate(text)) }}
{% endmacro %}

{# A text within a list, with the text's hash behind it, as Spark parses it; and whether that list has one value before the hash. Alone, the
   parser would stop behind a first value, and in a list alone behind a bracket in the text. #}
{% macro parsed_with_hash(text) %}{{ return("try_parse_json(concat('[', " ~ text ~ ", ',', xxhash64(" ~ text ~ "), ']'))") }}{% endmacro %}
{% macro is_one_value(parsed, text) %}{{ return("coalesce(try_variant_get(" ~ parsed ~ ", '$[1]', 'bigint') = xxhash64(" ~ text ~ "), false)") }}{% endmacro %}

{# Whether JSON has an escape that is half of a surrogate pair, which Java reads and DuckDB refuses. #}
{% macro has_half_a_surrogate(text) %}
    {% set escape, high, low = '(?<![\\\\])(?:\\\\{2})*', '\\\\u[dD][89abAB][0-9a-fA-F]{2}', '\\\\u[dD][c-fC-F][0-9a-fA-F]{2}' %}
    {{ return("((contains(" ~ text ~ ", '\\ud') or contains(" ~ text ~ ", '\\uD')) and regexp_like(regexp_replace(" ~ text ~ ", '(" ~ escape ~ ")" ~ high ~ low ~ "', '$1'), '" ~ escape ~ "\\\\u[dD][89a-fA-F]'))") }}
{% endmacro %}

{# The names in a JSON object, and whether a text is one. #}
{% macro json_keys(text) %}{{ return(adapter.dispatch('json_keys')(text)) }}{% endmacro %}
{% macro duckdb__json_keys(text) %}{{ return('json_keys(' ~ text ~ ')') }}{% endmacro %}
{% macro spark__json_keys(text) %}{{ return('json_object_keys(' ~ text ~ ')') }}{% endmacro %}
{% macro is_json_object(text) %}{{ return(adapter.dispatch('is_json_object')(text)) }}{% endmacro %}
{% macro duckdb__is_json_object(text) %}{{ return('json_valid(' ~ text ~ ') and json_type(' ~ text ~ ") = 'OBJECT'") }}{% endmacro %}
{% macro spark__is_json_object(text) %}{{ return('schema_of_variant(try_parse_json(' ~ text ~ ")) like 'OBJECT<%'") }}{% endmacro %}
