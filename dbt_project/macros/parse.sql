{# Parse raw text into typed columns, or into the reasons for a refusal, by the contract of the dataset. #}

{# The kinds of JSON value allowed for a column. An amount may be a number of up to 15 digits, which a double holds exactly. #}
{% macro json_kinds(column) %}
    {% set kinds_of = {
        'string': ['VARCHAR'], 'integer': ['BIGINT', 'UBIGINT'], 'number': ['BIGINT', 'UBIGINT', 'DOUBLE'], 'boolean': ['BOOLEAN'],
        'object': ['OBJECT'], 'array': ['ARRAY']
    } %}
    {% set meta, data_type = column.config.meta or {}, column.data_type %}
    {% set said = meta.get('json_types') %}
    {% set formats = meta.get('time_format', 'iso') %}
    {% if said %}{% set types = as_list(said) %}
    {% elif meta.get('hash') %}{% set types = ['string', 'integer'] %}
    {% elif data_type == 'bigint' or data_type == 'integer' %}{% set types = ['integer'] %}
    {% elif data_type.startswith('decimal') %}{% set types = ['string', 'number'] %}
    {% elif data_type == 'boolean' %}{% set types = ['boolean'] %}
    {% elif data_type == 'json' %}{% set types = ['object'] %}
    {% elif 'seconds' in formats or 'milliseconds' in formats or 'microseconds' in formats or 'excel' in formats %}{% set types = ['string', 'number'] %}
    {% else %}{% set types = ['string'] %}{% endif %}
    {% set kinds = [] %}
    {% for type in types %}{% do kinds.extend(kinds_of[type]) %}{% endfor %}
    {{ return(kinds | unique | list) }}
{% endmacro %}

{# The number of decimals of a decimal type. #}
{% macro decimals_of(data_type) %}{{ return(data_type.split(',')[1].rstrip(')') | int) }}{% endmacro %}

{# A typed value from text, or null. The patterns are strict because casts are lenient: a cast to timestamp drops the
   offset, a cast to decimal rounds. `meta` says how the source writes it, as a column of a contract does. #}
{% macro typed(text, data_type, meta={}) -%}
    {%- if data_type in ('timestamp', 'date') and meta.get('time_format') -%}
        {{ typed_time(text, data_type, meta) }}
    {%- elif data_type == 'timestamp' -%}
        {%- set zone = meta.get('timezone', 'UTC') -%}
        case when {{ regexp_full_match(text, "'\\d{4}-\\d{2}-\\d{2}[T ]\\d{2}:\\d{2}(:\\d{2}(\\.\\d{1,9})?)?(Z|[+-](0\\d|1[0-5])(:?[0-5]\\d)?)?'") }} and left({{ text }}, 4) <> '0000'
            then {% if zone != 'UTC' -%}
                case when not {{ regexp_matches(text, "':.*[Z+-]'") }} then {{ in_utc('try_cast(' ~ text ~ ' as timestamp)', zone) }} else {% endif -%}
                {{ timestamp_of(text) }}{{ ' end' if zone != 'UTC' }} end
    {%- elif data_type == 'date' -%}
        case when {{ regexp_full_match(text, "'\\d{4}-\\d{2}-\\d{2}'") }} and left({{ text }}, 4) <> '0000' then try_cast({{ text }} as date) end
    {%- elif data_type.startswith('decimal') -%}
        {#- further decimals may only be zeros: a numeric(19,6) writes 1.500000 -#}
        case when {{ regexp_full_match(text, "'[+-]?(\\d+(\\.\\d{0," ~ decimals_of(data_type) ~ "}0*)?|\\.\\d{1," ~ decimals_of(data_type) ~ "}0*)'") }} then try_cast({{ text }} as {{ data_type }}) end
    {%- elif data_type in ('integer', 'bigint') -%}
        case when {{ regexp_full_match(text, "'[+-]?\\d+(\\.0+)?'") }} then {{ whole_number(text, data_type) }} end
    {%- elif data_type == 'boolean' -%}
        case when {{ text }} in ('true', 't') then true when {{ text }} in ('false', 'f') then false end
    {%- else -%}
        {{ text }}
    {%- endif -%}
{%- endmacro %}

{# A time by the first of the contract's formats that fits. #}
{% macro typed_time(text, data_type, meta) -%}
    {%- set formats = as_list(meta.time_format) -%}
    {%- set zone = meta.get('timezone', 'UTC') -%}
    {%- set units = {'seconds': 6, 'milliseconds': 3, 'microseconds': 0} -%}
    {%- set times = [] -%}
    {%- for format in formats -%}
        {%- if format == 'iso' -%}
            {%- do times.append(typed(text, data_type, {'timezone': zone})) -%}
        {%- elif format in units -%}
            {#- a count since 1970; further decimals than microseconds are refused -#}
            {%- set digits, unit = 18 - units[format], 10 ** units[format] -%}
            {%- set whole = time_of_microseconds("try_cast(" ~ text ~ " as bigint) * " ~ unit) -%}
            {%- set part = time_of_microseconds("cast(round(" ~ decimal_times(text, unit) ~ ") as bigint)") -%}
            {%- set at = "case when " ~ regexp_full_match(text, "'-?\\d{1," ~ digits ~ "}'") ~ " then " ~ whole
                ~ " when " ~ regexp_full_match(text, "'-?\\d{1," ~ digits ~ "}\\.\\d{1," ~ ([units[format], 1] | max) ~ "}'") ~ " then " ~ part ~ " end" -%}
            {%- do times.append('cast(' ~ at ~ ' as date)' if data_type == 'date' else at) -%}
        {%- elif format == 'excel' -%}
            {#- days since 30 December 1899, to the millisecond; before March 1900 spreadsheets count a day that never was -#}
            {%- set milliseconds = "cast(round(try_cast(" ~ text ~ " as decimal(24, 16)) * cast(86400000 as decimal(8, 0))) as bigint)" -%}
            {%- set at = time_of_microseconds("(" ~ milliseconds ~ " - 2209161600000) * 1000") -%}
            {%- set at = in_utc(at, zone) if zone != 'UTC' else at -%}
            {%- set fits = "case when " ~ regexp_full_match(text, "'\\d{2,7}(\\.\\d{1,16})?'") ~ " and " ~ milliseconds ~ " between 5270400000 and 255611462399999 then " ~ at ~ " end" -%}
            {%- do times.append('cast(' ~ fits ~ ' as date)' if data_type == 'date' else fits) -%}
        {%- else -%}
            {%- set at = time_by_format(text, format) -%}
            {%- set at = in_utc_of(at) if '%z' in format else in_utc(at, zone) if zone != 'UTC' else at -%}
            {%- set fits = "case when " ~ regexp_full_match(text, literal(pattern_of(format))) ~ " then " ~ at ~ " end" -%}
            {%- do times.append('cast(' ~ fits ~ ' as date)' if data_type == 'date' else fits) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ times[0] if times | length == 1 else 'coalesce(' ~ times | join(', ') ~ ')' }}
{%- endmacro %}

{# The regular expression of the texts that a time format means: strptime alone takes a year of two digits for %Y, and where nothing
   separates two numbers, it may read 2024111 in two ways. #}
{% macro pattern_of(format) %}
    {% set parts = {
        '%Y': '\\d{4}', '%y': '\\d{2}', '%m': '\\d{1,2}', '%d': '\\d{1,2}', '%H': '\\d{1,2}', '%I': '\\d{1,2}', '%M': '\\d{1,2}', '%S': '\\d{1,2}',
        '%f': '\\d{1,6}', '%b': '[A-Za-z]{3}', '%B': '[A-Za-z]{3,9}', '%a': '[A-Za-z]{3}', '%A': '[A-Za-z]{6,9}', '%p': '[AaPp][Mm]', '%z': '[+-]\\d{2}:?\\d{2}',
    } %}
    {% set numbers = ('%Y', '%y', '%m', '%d', '%H', '%I', '%M', '%S', '%f') %}
    {% set found = namespace(text='') %}
    {% set written = modules.re.findall('%.|[^%]', format) %}
    {% for one in written %}
        {% set is_beside = (not loop.first and written[loop.index0 - 1] in numbers) or (not loop.last and written[loop.index0 + 1] in numbers) %}
        {% set pattern = parts[one] if one in parts else modules.re.escape(one) %}
        {% set found.text = found.text ~ ('\\d{2}' if is_beside and pattern == '\\d{1,2}' else pattern) %}
    {% endfor %}
    {{ return(found.text) }}
{% endmacro %}

{# The text that a contract's column means by the source's text: without marks between digits, by the contract's own names of
   values, and null where it says that there is none. #}
{% macro meant_text(text, meta) -%}
    {%- if meta.get('constant') is not none -%}{{ return(literal(as_text(meta.constant))) }}{%- endif -%}
    {%- set found = namespace(sql=text) -%}
    {%- set has_signs = meta.get('symbol') or meta.get('percent') or meta.get('thousands') or meta.get('decimal', '.') == ',' -%}
    {#- where the signs of numbers are said, blanks around a number do not count: SAP writes one where a minus would be -#}
    {%- set signed = with_minus(trimmed(text, "'" ~ blanks() ~ "'"), meta) if has_signs else text -%}
    {%- set found.sql = number_in(signed, meta) if meta.get('symbol') or meta.get('percent') else signed -%}
    {%- set number = found.sql -%}
    {%- if meta.get('thousands') or meta.get('decimal', '.') == ',' -%}
        {%- set thousands, comma = signs_between(meta.get('thousands', '')), modules.re.escape(meta.get('decimal', '.')) -%}
        {%- set whole = '(\\d+|\\d{1,3}([' ~ thousands ~ ']\\d{3})+)' if thousands else '\\d+' -%}
        {%- set digits = '(' ~ whole ~ '(' ~ comma ~ '\\d*)?|' ~ comma ~ '\\d+)' -%}
        {#- a text of another shape stays, with a mark that no number has, so that it is refused -#}
        {%- set bare = "translate(" ~ number ~ ", " ~ literal(thousands) ~ ", '')" if thousands else number -%}
        {%- set plain = "replace(" ~ bare ~ ", " ~ literal(meta.get('decimal', '.')) ~ ", '.')" -%}
        {#- where the signs of numbers are said, the minus may be behind them, as SAP writes it -#}
        {%- set found.sql = "case when " ~ regexp_full_match(number, literal('[+-]?' ~ digits)) ~ " then " ~ plain
            ~ " when " ~ regexp_full_match(number, literal(digits ~ '-')) ~ " then '-' || " ~ trimmed_behind(plain, "'-'")
            ~ " when " ~ regexp_full_match(number, "'[+-]?[0-9.,]+-?'") ~ " then '?' || " ~ text ~ " else " ~ number ~ " end" -%}
    {%- endif -%}
    {%- if meta.get('percent') -%}{%- set found.sql = as_share(signed, found.sql) -%}{%- endif -%}
    {%- if meta.get('values') -%}
        {%- set whens = [] -%}
        {%- for value, texts in meta['values'].items() -%}
            {%- set tests = [] -%}
            {%- set has_groups = modules.re.search('\\\\\\d', as_text(value)) -%}
            {%- for one in as_list(texts) -%}
                {%- set pattern = one[1:-1] if one | length > 2 and one[0] == '/' and one[-1] == '/' -%}
                {%- if pattern and has_groups -%}
                    {%- do whens.append("when " ~ regexp_full_match(text, literal(pattern)) ~ " then " ~ made_of_parts(text, '(?:' ~ pattern ~ ')', as_text(value))) -%}
                {%- elif pattern -%}
                    {%- do tests.append(regexp_full_match(text, literal(pattern))) -%}
                {%- else -%}
                    {%- do tests.append(text ~ " = " ~ literal(one)) -%}
                {%- endif -%}
            {%- endfor -%}
            {%- if tests -%}{%- do whens.append("when " ~ tests | join(' or ') ~ " then " ~ literal(as_text(value))) -%}{%- endif -%}
        {%- endfor -%}
        {%- set found.sql = "case " ~ whens | join(' ') ~ " else " ~ found.sql ~ " end" -%}
    {%- endif -%}
    {%- if meta.get('missing') -%}
        {%- set found.sql = "case when " ~ text ~ " in (" ~ listed(as_list(meta.missing)) ~ ") then null else " ~ found.sql ~ " end" -%}
    {%- endif -%}
    {%- if meta.get('hash') -%}{%- set found.sql = number_of_hash("md5(nullif(" ~ found.sql ~ ", ''))") -%}{%- endif -%}
    {{ found.sql }}
{%- endmacro %}

{# A text with a minus in place of parentheses around its number, as accountants write it. Any other text stays. #}
{% macro with_minus(text, meta) -%}
    {%- set signs = symbols_of(meta) + (['%'] if meta.get('percent') else []) -%}
    {%- set sign, blank = '(?:' ~ signs | join('|') ~ ')?', '[' ~ blanks() ~ ']?' -%}
    {{ made_of_parts(text, '(' ~ sign ~ blank ~ ')\\((' ~ sign ~ blank ~ digits_and_marks() ~ blank ~ sign ~ ')\\)(' ~ blank ~ sign ~ ')', '-\\1\\2\\3') }}
{%- endmacro %}

{# What is a blank beside a number or between its digits: spreadsheets write those that do not break. #}
{% macro blanks() %}{{ return(" \u00a0\u202f") }}{% endmacro %}

{# The signs that may stand between thousands where a contract says one: of blanks and of apostrophes, all that look alike. #}
{% macro signs_between(thousands) %}
    {% if thousands and thousands in blanks() %}{{ return(blanks()) }}{% endif %}
    {{ return("'\u2019" if thousands in ("'", "\u2019") else thousands) }}
{% endmacro %}

{# The contract's symbols, as parts of a pattern. #}
{% macro symbols_of(meta) %}
    {% set signs = [] %}
    {% for one in as_list(meta.get('symbol') or []) %}{% do signs.append(modules.re.escape(one)) %}{% endfor %}
    {{ return(signs) }}
{% endmacro %}

{# The pattern of what is between the signs of a number. #}
{% macro digits_and_marks() %}{{ return("[0-9.,'_\u2019" ~ blanks() ~ "]*[0-9.,]") }}{% endmacro %}

{# A text without the contract's symbol, or the sign of a percentage, before or behind its number. Any other text stays. #}
{% macro number_in(text, meta) -%}
    {%- set signs = symbols_of(meta) -%}
    {%- set behind = signs + ['%'] if meta.get('percent') else signs -%}
    {%- set digits, blank = digits_and_marks(), '[' ~ blanks() ~ ']?' -%}
    {%- set bare = text -%}
    {%- if signs -%}
        {%- set bare = made_of_parts(bare, '([+-]?)' ~ blank ~ '(?:' ~ signs | join('|') ~ ')' ~ blank ~ '([+-]?' ~ digits ~ '-?)', '\\1\\2') -%}
    {%- endif -%}
    {{ made_of_parts(bare, '([+-]?' ~ digits ~ '-?)' ~ blank ~ '(?:' ~ behind | join('|') ~ ')', '\\1') }}
{%- endmacro %}

{# DuckDB accepts some invalid JSON (a comma before a bracket, NaN, infinity) and rounds long fractions to a double. A cheap
   test finds the lines that may be affected; the exact one then ignores the insides of strings. It has one pattern for each
   sign before a value: three that begin with a fixed character take half the time of one that does not. #}
{% macro may_be_lenient(raw) -%}
    {%- set odd = '[+-]?(?i:nan|inf)|-?[0-9.]{16}[0-9.eE]' -%}
    (regexp_matches({{ raw }}, ',\s*([\]}]|{{ odd }})') or regexp_matches({{ raw }}, ':\s*({{ odd }})') or regexp_matches({{ raw }}, '\[\s*({{ odd }})'))
{%- endmacro %}

{% macro leniently_read(raw) -%}
    {%- set bare = without_strings(raw) -%}
    case
                when {{ is_no_json(bare) }} then 'broken_json'
                when len(list_filter(regexp_extract_all({{ bare }}, '-?[0-9][0-9.]*([eE][+-]?[0-9]+)?'), lambda number: {{ is_rounded('number') }})) > 0 then 'rounded'
            end
{%- endmacro %}

{# JSON with each string empty, and whether such a text, which DuckDB reads, is not JSON. #}
{% macro without_strings(raw) %}{{ return("regexp_replace(" ~ raw ~ ", '\"([^\"\\\\]|\\\\.)*\"', '\"\"', 'g')") }}{% endmacro %}
{% macro is_no_json(bare) %}{{ return("regexp_matches(" ~ bare ~ ", ',\\s*[\\]}]|(?i)[:,\\[]\\s*[+-]?(nan|inf)')") }}{% endmacro %}

{# Values of a contract as SQL literals: always in quotes, and escaped. #}
{% macro listed(values) %}
    {% set quoted = [] %}
    {% for value in values %}{% do quoted.append(literal(value | string)) %}{% endfor %}
    {{ return(quoted | join(', ')) }}
{% endmacro %}

{# Pairs of (pattern, reason) for texts that are not a value of a type but have a more exact reason than not_parsed. #}
{% macro unreadable_texts(data_type) %}
    {% set infinite = ('[+-]?inf(inity)?', 'infinite') %}
    {% if data_type in ('timestamp', 'date') %}
        {{ return([infinite, ('[+-]?\\d{5,}-\\d{2}-\\d{2}.*|-\\d{4}-\\d{2}-\\d{2}.*|0000-\\d{2}-\\d{2}.*|\\d+-\\d{2}-\\d{2}.* BC', 'out_of_range')]) }}
    {% endif %}
    {% set pairs = [infinite, ('[+-]?nan', 'not_a_number')] %}
    {% if data_type.startswith('decimal') %}
        {% do pairs.append(('[+-]?\\d*\\.\\d{' ~ (decimals_of(data_type) + 1) ~ ',}', 'too_many_decimals')) %}
    {% endif %}
    {{ return(pairs) }}
{% endmacro %}

{# Whether a time is in the years 1 to 9999, the only ones that every reader of the data supports. #}
{% macro in_calendar(at) -%} ({{ at }} >= timestamp '0001-01-01' and {{ at }} < timestamp '10000-01-01') {%- endmacro %}
{# Whether a JSON number changes when it is read as a double: a fraction or an exponent with many digits. #}
{% macro is_rounded(number) -%}
    (regexp_matches({{ number }}, '^-?[0-9]+[.eE]') and {{ significant_digits(number) }} > 15 and try_cast({{ number }} as double)::varchar is distinct from {{ number }})
{%- endmacro %}

{# The line, with each number that would be rounded replaced by a marked string. Numbers inside strings stay unchanged. #}
{% macro with_marked_numbers(raw) -%}
    array_to_string(list_transform(
            regexp_extract_all({{ raw }}, '"([^"\\]|\\.)*"|-?[0-9][0-9.]*([eE][+-]?[0-9]+)?|[^"0-9-]+|-'),
            lambda part: case when part[1] <> '"' and {{ is_rounded('part') }} then '"\u0001number ' || part || '"' else part end
        ), '')
{%- endmacro %}

{# Call a JSON function on a line's value at a path. Of a list, `[key=page]` is its first object whose `key` is `page`. #}
{% macro in_line(function, line, path) -%}
    {%- if '=' not in path -%}
        {{ function }}({{ line }}, {{ literal(path_of(path)) }})
    {%- else -%}
        {%- set list, search, rest = modules.re.split('\\[(\\w+=[^\\]]+)\\]', path, maxsplit=1) -%}
        {%- set key, _, value = search.partition('=') -%}
        {{ function }}(list_filter(from_json(json_extract({{ line }}, {{ literal(path_of(list)) }}), '["JSON"]'), lambda one: json_extract_string(one, {{ literal('$."' ~ key ~ '"') }}) = {{ literal(value) }})[1], {{ literal(path_of('$' ~ rest) if rest else '$') }})
    {%- endif -%}
{%- endmacro %}

{# A line's value under a name as text, with marked numbers as the line has them. The text of JSON is JSON, also if it is of a string. #}
{% macro text_in_line(name, data_type, paths=[]) -%}
    {%- set text = ('json_at_paths[' if data_type == 'json' else 'at_paths[') ~ (paths.index(name) + 1) ~ ']' if name in paths else 'parsed."' ~ name ~ '"::varchar' -%}
    {%- if data_type == 'json' -%}
        case when marked is null then {{ text }} else regexp_replace({{ text }}, '"\\u0001number ([^"]+)"', '\1', 'g') end
    {%- elif data_type.startswith('decimal') -%}
        case when marked is null then {{ text }} else replace({{ text }}, chr(1) || 'number ', '') end
    {%- else -%}
        {#- it may be a number, or a list or an object with some -#}
        case when marked is null then {{ text }} else regexp_replace(regexp_replace({{ text }}, '^\x01number ', ''), '"\\u0001number ([^"]+)"', '\1', 'g') end
    {%- endif -%}
{%- endmacro %}

{# The number of significant digits of a number, without leading zeros and those that end its fraction. #}
{% macro significant_digits(number) -%}
    {{ adapter.dispatch('significant_digits')(number) }}
{%- endmacro %}
{% macro duckdb__significant_digits(number) -%}
    strlen(regexp_replace(regexp_replace({{ number }}, '(\.0*|(\.[0-9]*[1-9])0+)?([eE].*)?$', '\2'), '^-?[0.]*|\.', '', 'g'))
{%- endmacro %}

{# What makes a record a dead letter: (condition, reason, test), where `test` is null if an earlier one is true of the same
   records: few records are refused, so that the tests of all others are to be cheap. Of lines in their usual form, the kinds of
   values are known to be allowed. `list_contains` and not `in`, of which DuckDB makes a join for each place that it is written in. #}
{% macro refusals(dataset, usual=false) %}
    {% set the = contract(dataset) %}
    {% set lines = the.meta.format == 'json_lines' %}
    {% set pairs = [] %}
    {% for column in the.columns %}
        {% set name, meta = column.name, column.config.meta or {} %}
        {% set text = 'text_' ~ name %}
        {% set typed_right = 'true' %}
        {% set kind = list_item('kinds', loop.index) %}
        {% if lines and not usual %}
            {% set allowed_kinds = listed(json_kinds(column)) %}
            {% set typed_right = list_contains(list_of([allowed_kinds]), kind) %}
            {% do pairs.append(("not " ~ list_contains(list_of(["'NULL'", allowed_kinds]), kind), 'wrong_type:' ~ name)) %}
        {% elif not lines %}
            {% do pairs.append((list_contains('not_utf8', "'" ~ name ~ "'"), 'invalid_utf8:' ~ name)) %}
        {% endif %}
        {% if meta.get('required') %}
            {# a record that says that its key is gone has only the key #}
            {% set there = '' if name in the.meta.key else ' and not is_deleted' %}
            {% do pairs.append(("(" ~ text ~ " is null or " ~ text ~ " = '')" ~ there, 'missing:' ~ name)) %}
        {% endif %}
        {% if column.data_type == 'json' and not lines %}
            {% do pairs.append((name ~ " is null and " ~ text ~ " is not null" ~ (" and " ~ text ~ " <> ''" if meta.get('required') else ''), 'not_parsed:' ~ name)) %}
        {% endif %}
        {% if column.data_type not in ('varchar', 'json') %}
            {% set unread = typed_right ~ " and " ~ name ~ " is null and " ~ text ~ " is not null" ~ (" and " ~ text ~ " <> ''" if meta.get('required') else '') %}
            {# only the few records without a value get the costly test #}
            {% set like = "case when " ~ unread ~ " then " ~ regexp_full_match(text, "'%s'", 'i') ~ " end" %}
            {% set telling = unreadable_texts(column.data_type) %}
            {% set untold = "not " ~ (like | replace('%s', telling | map('first') | join('|'))) %}
            {% if lines and not usual and column.data_type.startswith('decimal') %}
                {# a JSON number is read as a double, which keeps 15 digits #}
                {% set digits = "case when " ~ kind ~ " <> 'VARCHAR' and " ~ typed_right ~ " then " ~ significant_digits(text) ~ " > 15 else false end" %}
                {% set tiny = "(not " ~ digits ~ " and " ~ kind ~ " = 'DOUBLE' and contains(" ~ text ~ ", 'e-'))" %}
                {% do pairs.append((digits, 'too_many_digits:' ~ name)) %}
                {% do pairs.append((typed_right ~ " and " ~ tiny, 'too_many_decimals:' ~ name)) %}
                {% set untold = untold ~ " and not " ~ digits ~ " and not " ~ tiny %}
            {% endif %}
            {% for pattern, reason in telling %}
                {% do pairs.append((like | replace('%s', pattern), reason ~ ':' ~ name, unread if loop.first else none)) %}
            {% endfor %}
            {% do pairs.append((untold, 'not_parsed:' ~ name, none)) %}
            {% if column.data_type == 'timestamp' %}
                {# converting to UTC moves it out of the calendar #}
                {% do pairs.append(("not " ~ in_calendar(name), 'out_of_range:' ~ name)) %}
            {% endif %}
        {% endif %}
        {% if meta.get('excluded') %}
            {% do pairs.append((name ~ " in (" ~ listed(meta.excluded) ~ ")", 'out_of_range:' ~ name)) %}
        {% endif %}
        {% if meta.get('min') is not none %}
            {% do pairs.append((name ~ " < '" ~ meta.min ~ "'::" ~ column.data_type, 'out_of_range:' ~ name)) %}
        {% endif %}
        {% if meta.get('max') is not none %}
            {% do pairs.append((name ~ " > '" ~ meta.max ~ "'::" ~ column.data_type, 'out_of_range:' ~ name)) %}
        {% endif %}
        {% if meta.get('pattern') %}
            {% do pairs.append((typed_right ~ " and " ~ text ~ " <> '' and not " ~ regexp_full_match(text, literal(meta.pattern)), 'not_matching:' ~ name)) %}
        {% endif %}
        {% if meta.get('allowed') and meta.get('unlisted') != 'warn' %}
            {% do pairs.append((typed_right ~ " and " ~ text ~ " <> '' and not " ~ list_contains(list_of([listed(meta.allowed)], column.data_type), name), 'not_allowed:' ~ name)) %}
        {% endif %}
    {% endfor %}
    {# a version in the future would win against every later one #}
    {% for column in the.columns if column.name in (the.meta.get('event_time'), the.meta.get('version_column')) and column.data_type in ('timestamp', 'date') %}
        {% do pairs.append((column.name ~ " > landed_at + interval 1 day", 'in_future:' ~ column.name)) %}
    {% endfor %}
    {{ return(pairs) }}
{% endmacro %}

{# The reasons of a refusal, or null. #}
{% macro reasons_of(refusals) -%}
    {%- set tests = [] -%}
    {%- for one in refusals -%}
        {%- set test = one[2] if one | length == 3 else one[0] -%}
        {%- if test -%}{%- do tests.append('(' ~ test ~ ')') -%}{%- endif -%}
    {%- endfor -%}
    {%- if not tests -%}
    cast(null as {{ sql_type('varchar[]') }})
    {%- else -%}
    case
                when {{ tests | join('\n                    or ') }}
                    then {% set reasons %}
                        {%- for one in refusals %}
                        case when {{ one[0] }} then '{{ one[1] }}' end{{ ',' if not loop.last }}
                        {%- endfor %}
                    {% endset %}{{ list_filter(list_of([reasons]), 'reason', 'reason is not null') }}
            end
    {%- endif -%}
{%- endmacro %}

{# How the text begins that stands for a forgotten record in bronze. ingestion/forgotten.py has it too; the receipt's id follows. #}
{% macro forgotten_mark() %}{{ return('"forgotten: receipt ') }}{% endmacro %}

{# The most bytes of a record, without its final newline. A longer one is refused without parsing. #}
{% macro longest_record(dataset) %}{{ return(contract(dataset).meta.get('longest_record', 1000000)) }}{% endmacro %}

{# Whether bytes are not UTF-8 only because they end within their last character. #}
{% macro stops_within_a_character(bytes) -%}
    ({%- for left in range(1, 4) %}try(decode(array_slice({{ bytes }}, 1, octet_length({{ bytes }}) - {{ left }}))) is not null{{ ' or ' if not loop.last }}{% endfor -%})
{%- endmacro %}

{# The entering records of a dataset, read once: typed columns, or a list of reasons and the raw text. #}
{% macro parse_records(dataset) %}{{ adapter.dispatch('parse_records')(dataset) }}{% endmacro %}

{% macro duckdb__parse_records(dataset) %}
{% set _ = source('bronze', dataset) %}
{% set the = contract(dataset) %}
{% set lines = the.meta.format == 'json_lines' %}
{% set names = the.columns | map(attribute='name') | list %}
{% set layouts = [] if lines else layouts_of(dataset) %}
{% set paths, json_paths, searched, places = [], [], [], [] %}
{% for column in the.columns if lines %}
    {% for name in names_at_source(column) %}
        {% do places.append({'name': name, 'type': column.data_type, 'column': column.name}) %}
        {% if is_path(name) %}{% do (json_paths if column.data_type == 'json' else paths).append(name) %}{% endif %}
        {% if is_path(name) and '=' in name %}{% do searched.append(name) %}{% endif %}
    {% endfor %}
{% endfor %}
{% set paths = paths | reject('in', searched) | list + paths | select('in', searched) | list %}
{% set form = usual_form(dataset) if lines else none %}
{% set shape = shape_of_lines(dataset, form) if lines else none %}
{#- a column may have several names in a line; the first that has a value there counts #}
{% set has_more_names = places | length > the.columns | length %}
{% set all_kinds = 'found_kinds' if searched else 'kinds_in_line' if has_more_names else 'kinds' %}
with batches as (
    select batch_id, source, window_date, landed_at from {{ ref('plan_batches') }}
    where dataset = '{{ dataset }}' and is_entering
),

bronze as (
    {{ read_bronze(dataset) }}
),

identified as (
    select bronze.*, bronze as bronze_row, batches.batch_id, batches.source, batches.window_date, batches.landed_at
    from bronze
    inner join batches on batches.batch_id = {{ batch_of_record() }}
),

{% if lines %}
opened as (
    select
        *,
        case
            when starts_with(raw, '{{ forgotten_mark() }}') then 'forgotten'
            when raw_start is not null then 'too_long'
            -- a line without a newline may have been landed while it was still being written
            when raw is null
                then case when is_cut and source <> 'corrections' and {{ stops_within_a_character('raw_bytes') }} then 'half_line' else 'invalid_utf8' end
            when not json_valid(raw) then case when is_cut and source <> 'corrections' then 'half_line' else 'broken_json' end
            {%- if the.meta.get('each') %}
            -- an answer of an API that has nothing to say
            when regexp_full_match(raw, '\s*\[\s*\]\s*') then 'not_selected'
            {%- endif %}
            when not starts_with(raw, '{') and json_type(raw) <> 'OBJECT' then 'not_an_object'
        end as unopened,
        from_json(case when unopened is null then raw end, {{ shape }}) as parsed
    -- a byte order mark at the start of a file is no part of its first line
    from (select * replace (case when starts_with(raw, chr(65279)) then substr(raw, 2) else raw end as raw) from identified)
),

compared as (
    select *, {{ is_in_form(dataset, form) if form else 'false' }} as is_usual from opened
),

looked_at as (
    select
        *, case when not is_usual and unopened is null and {{ may_be_lenient('raw') }} then {{ leniently_read('raw') }} end as lenient
    from compared
),

read as (
    select
        *,
        case when lenient = 'broken_json' then lenient else unopened end as unreadable,
        case when lenient = 'rounded' then {{ with_marked_numbers('raw') }} end as marked
    from looked_at
),

{#- each step in a query of its own: DuckDB computes a column again wherever the same `select` names it, and each parse keeps
    all lines of a chunk in memory. One call for all paths reads the line once; a search in a list is a call of its own #}
with_kinds as (
    select
        *,
        case when unreadable is null and not is_usual then json_type(raw, [{% for place in places %}{{ literal('$' if place.name in searched else path_of(place.name)) }}{{ ', ' if not loop.last }}{% endfor %}]) end as {{ all_kinds }}
    from read
),

{% if searched %}
with_searched as (
    select
        *,
        case when unreadable is null and not is_usual then [{% for place in places %}{{ in_line('json_type', 'raw', place.name) if place.name in searched else 'found_kinds[' ~ loop.index ~ ']' }}{{ ', ' if not loop.last }}{% endfor %}] end as {{ 'kinds_in_line' if has_more_names else 'kinds' }}
    from with_kinds
),

{% endif %}
shaped as (
    select
        batch_id, record_no, window_date, landed_at, bronze_row, unreadable, marked, is_usual,
        case when lenient is null then parsed when marked is not null then from_json(marked, {{ shape }}) end as parsed,
        case when unreadable is null and not is_usual then json_keys(raw) end as keys,
        {%- if has_more_names %}
        case when unreadable is null and not is_usual then [
            {%- for column in the.columns %}
            coalesce({% for place in places %}{% if place.column == column.name %}nullif(kinds_in_line[{{ loop.index }}], 'NULL'), {% endif %}{% endfor %}'NULL'){{ ',' if not loop.last }}
            {%- endfor %}
        ] end as kinds
        {%- else %}
        kinds
        {%- endif %}
        {%- for condition in conditions(dataset) %},
        case when unreadable is null then coalesce({% for name in as_list(condition['from']) %}{{ in_line('json_extract_string', 'raw', name) }}, {% endfor %}null) end as selecting_{{ loop.index }}
        {%- endfor %}
        {%- set line = 'case when unreadable is null then coalesce(marked, raw) end' %}
        {%- if json_paths %},
        [{% for path in json_paths %}nullif(cast({{ in_line('json_extract', line, path) }} as varchar), 'null'){{ ', ' if not loop.last }}{% endfor %}] as json_at_paths
        {%- endif %}
        {%- if paths %},
        list_concat(
            json_extract_string({{ line }}, [{% for path in paths if path not in searched %}{{ literal(path_of(path)) }}{{ ', ' if not loop.last }}{% endfor %}]::varchar[]),
            [{% for path in paths if path in searched %}{{ in_line('json_extract_string', line, path) }}{{ ', ' if not loop.last }}{% endfor %}]::varchar[]
        ) as at_paths
        {%- endif %}
    from {{ 'with_searched' if searched else 'with_kinds' }}
),

texts as (
    select
        batch_id, record_no, false as is_deleted, window_date, landed_at, bronze_row, kinds, is_usual,
        -- a repeated key is refused; compare only if the line has other keys than the contract's
        case
            when unreadable is not null then unreadable
            when {{ 'true' if paths or json_paths or has_more_names else 'len(keys) <> list_count(kinds)' }} then case when len(list_distinct(keys)) <> len(keys) then 'duplicate_key' end
        end as unreadable
        {%- for column in the.columns %},
        {%- set written = [] %}
        {%- for name in names_at_source(column) %}{% do written.append(text_in_line(name, column.data_type, json_paths if column.data_type == 'json' else paths)) %}{% endfor %}
        {{ row_id(dataset, column.name) or text_of(column, written) }} as text_{{ column.name }}{% endfor %}
        {%- if conditions(dataset) %},
        {{ is_selected(dataset) }} as is_selected{% endif %}
    from shaped
),
{% else %}
texts as (
    select
        batch_id, record_no, window_date, landed_at, bronze_row, is_deleted, not_utf8,
        case
            when bad_row is not null then bad_row.reason
            when {% for name in names %}coalesce(strlen(text_{{ name }}), 0) + {% endfor %}0 > {{ longest_record(dataset) }} then 'too_long'
        end as unreadable
        {%- for name in names %},
        {{ row_id(dataset, name) or 'case when strlen(text_' ~ name ~ ') <= ' ~ longest_record(dataset) ~ ' then text_' ~ name ~ ' end' }} as text_{{ name }}{% endfor %}
        {%- if conditions(dataset) %},
        {{ is_selected(dataset) }} as is_selected{% endif %}
    from identified
),
{% endif %}
{{ typed_records(dataset, layouts, form) }}
{% endmacro %}

{# The records of a dataset from their texts, which the CTE `texts` has, to the end of the query: typed, with the reasons of a refusal
   and, of a refused one, where it came from. `layouts` are those of rows, and `form` is the usual one of lines. #}
{% macro typed_records(dataset, layouts, form=none) %}
{% set the = contract(dataset) %}
{% set names = the.columns | map(attribute='name') | list %}
{% set dated_by = the.meta.get('event_time') or the.meta.get('record_date') %}
{% set no_text = 'cast(null as ' ~ sql_type('varchar') ~ ')' %}
{#- bronze keeps what is not selected -#}
{% set is_refused = "reasons is not null" ~ (" and " ~ list_item('reasons', 1) ~ " <> 'not_selected'" if conditions(dataset) or the.meta.get('each') else '') %}
{% set written = {} %}
{% for name, text in columns_written_otherwise(dataset).items() %}{% do written.update({'text_' ~ name: text}) %}{% endfor -%}
meant as (
    select {{ star_replacing(written) }} from texts
),

typed as (
    select
        *{% for column in the.columns %},
        {%- set text = 'text_' ~ column.name %}
        {#- of lines, it is JSON already #}
        {{ 'case when ' ~ is_json(text) ~ ' then ' ~ text ~ ' end' if column.data_type == 'json' and the.meta.format != 'json_lines' else typed(text, column.data_type, column.config.meta or {}) }} as {{ column.name }}{% endfor %}
    from meant
),

judged as (
    select
        *,
        case
            when unreadable is not null then {{ list_of(['unreadable']) }}
            {%- if conditions(dataset) %}
            when not is_selected then {{ list_of(["'not_selected'"]) }}
            {%- endif %}
            {%- if form %}
            when is_usual then {{ reasons_of(refusals(dataset, usual=true)) }}
            {%- endif %}
            else {{ reasons_of(refusals(dataset)) }}
        end as reasons
    from typed
),

final as (
    select
        batch_id,
        record_no,
        {% if dated_by %}coalesce(cast(case when {{ in_calendar(dated_by) }} then {{ dated_by }} end as date), window_date){% else %}window_date{% endif %} as record_date,
        is_deleted,
        {% for name in names -%}
        {{ name }},
        {% endfor -%}
        {%- set money = the.meta.get('money') %}
        {%- if money %}
        case when {{ is_refused }} then cast({{ money.amount }} as decimal(38, 4)) end as money_amount,
        case when {{ is_refused }} then {{ 'text_' ~ money.currency if money.currency else no_text }} end as money_currency,
        case when {{ is_refused }} and text_{{ money.column }} is not null then ({{ money.amount }}) is not null end as is_money_read,
        {%- else %}
        cast(null as decimal(38, 4)) as money_amount,
        {{ no_text }} as money_currency,
        cast(null as boolean) as is_money_read,
        {%- endif %}
        reasons,
        {% if the.meta.format == 'json_lines' -%}
        case when {{ is_refused }} then coalesce(bronze_row.raw_start, bronze_row.raw, hex(bronze_row.raw_bytes)) end as raw,
        case when {{ is_refused }} then bronze_row.file end as source_file,
        case when {{ is_refused }} then bronze_row.line_number end as source_line
        {%- else -%}
        case
            when {{ is_refused }} and bronze_row.bad_row is not null then coalesce(bronze_row.bad_row.raw, hex(bronze_row.bad_row.raw_bytes))
            {%- for layout in layouts %}
            {%- set cells %}
                {%- for column in layout.columns %}{{ literal(column) }}, case when unreadable = 'too_long' then left(bronze_row.cells.c{{ loop.index }}, 100) else bronze_row.cells.c{{ loop.index }} end{{ ', ' if not loop.last }}{% endfor -%}
            {% endset %}
            {#- a record that says that its key is gone says so in `raw` too; no source has a column of this name #}
            when {{ is_refused }} and bronze_row.layout = {{ loop.index }} and is_deleted then {{ json_object_text(cells ~ ", 'is_deleted', true") }}
            when {{ is_refused }} and bronze_row.layout = {{ loop.index }} then {{ json_object_text(cells) }}
            {%- endfor %}
        end as raw,
        case when {{ is_refused }} then bronze_row.bad_row.file end as source_file,
        case when {{ is_refused }} then bronze_row.bad_row.line_number end as source_line
        {%- endif %}
    from judged
    {%- if dataset != 'decisions' %}
    union all
    select
        batch_id, record_no, record_date, is_deleted,
        {% for column in the.columns %}cast(null as {{ sql_type(column.data_type) }}), {% endfor -%}
        cast(null as decimal(38, 4)), {{ no_text }}, cast(null as boolean), reasons, {{ no_text }}, {{ no_text }}, cast(null as bigint)
    from ({{ retracted_records(dataset) }})
    {%- endif %}
)

select * from final
{% endmacro %}

{# The records of retracted batches, numbered up to their manifests' counts. No file is read: a damaged one cannot fail a build. #}
{% macro retracted_records(dataset) %}
    select
        batch_id, {{ unnested(numbers_to('records_written')) }} as record_no, window_date as record_date, false as is_deleted,
        {{ list_of(["'retracted'"]) }} as reasons
    from {{ ref('plan_batches') }}
    where {{ entering_batches(dataset, retracted=true) }}
{% endmacro %}

{# The retracted batches of a dataset, as a list of SQL literals. #}
{% macro retracted_batches(dataset) %}
    {% if dataset == 'decisions' %}{{ return(no_values()) }}{% endif %}
    -- depends_on: {{ ref('plan_keys_decisions') }}
    {% set decided = "(select target_batch_id from (" ~ whole('records_decisions') ~ ") where fate = 'current' and action = 'withdraw'"
        ~ " and target_record_no is null and target_dataset = '" ~ dataset ~ "')" %}
    {{ return(literals(decided, 'target_batch_id')) }}
{% endmacro %}

{# A condition over plan.batches: the entering batches of a dataset that are read, or those that are retracted. #}
{% macro entering_batches(dataset, retracted=false) %}
    {% set out = retracted_batches(dataset) %}
    {% set condition = "dataset = '" ~ dataset ~ "' and is_entering" %}
    {% if retracted %}{{ return(condition ~ ' and batch_id in (' ~ out ~ ')') }}{% endif %}
    {{ return(condition if out == no_values() else condition ~ ' and batch_id not in (' ~ out ~ ')') }}
{% endmacro %}

{# The Parquet files of the entering batches that are read, each once: compacted batches share one. #}
{% macro entering_files(dataset) %}
    {% set batches = ref('plan_batches') %}
    {% set where = entering_batches(dataset) %}
    {% if not execute %}{{ return([]) }}{% endif %}
    {{ return(run_query("select distinct " ~ unnested('files') ~ " from " ~ batches ~ " where " ~ where ~ " order by 1").columns[0].values() | list) }}
{% endmacro %}

{# The entering Parquet of a dataset: raw lines, or rows with the contract's columns as text_<column>. A column of the contract
   that no file has is null. #}
{% macro read_bronze(dataset) %}
    {% if contract(dataset).meta.format == 'json_lines' -%}
        {{ read_lines(dataset) }}
    {%- else -%}
        {{ read_rows(dataset) }}
    {%- endif %}
{% endmacro %}

{% macro read_lines(dataset) %}{{ adapter.dispatch('read_lines')(dataset) }}{% endmacro %}

{% macro duckdb__read_lines(dataset) %}
    {% set files = entering_files(dataset) %}
    select
        cast(null as bigint) as record_no, cast(null as varchar) as bronze_file, cast(null as varchar) as bronze_batch,
        cast(null as varchar) as raw, cast(null as blob) as raw_bytes, cast(null as varchar) as file, cast(null as bigint) as line_number,
        cast(null as varchar) as raw_start, cast(null as boolean) as is_cut
    where false
    {% if files %}
    union all by name
    select * replace (
        case when is_long then null else raw end as raw, case when is_long then null else raw_bytes end as raw_bytes
    ), case when is_long then coalesce(left(raw, 1000), hex(array_slice(raw_bytes, 1, 500))) end as raw_start
    from (
        select
            *, not coalesce(ends_with(raw, chr(10)), array_slice(raw_bytes, -1, -1) = '\x0A'::blob) as is_cut,
            coalesce(strlen(raw), octet_length(raw_bytes)) - (not is_cut)::int > {{ longest_record(dataset) }} as is_long
        from {{ parquet(files) }}
    )
    {% endif %}
{% endmacro %}

{# Only the contract's columns are read by name, never others of the source: `cells` are the texts of all columns, in the order
   of the batch's layout. `not_utf8` are the contract's columns in which the source's bytes are not UTF-8. #}
{% macro read_rows(dataset) %}{{ adapter.dispatch('read_rows')(dataset) }}{% endmacro %}

{% macro duckdb__read_rows(dataset) %}
    {% set names = column_names(dataset) %}
    {% set layouts = layouts_of(dataset) %}
    {% set width = ([1] + layouts | map(attribute='columns') | map('length') | list) | max %}
    select
        cast(null as bigint) as record_no, cast(null as varchar) as bronze_file, cast(null as varchar) as bronze_batch, false as is_deleted, cast([] as varchar[]) as not_utf8, 0 as layout,
        -- a raw row of a file that could not be split into columns
        {{ bad_row() }} as bad_row,
        { {%- for n in range(1, width + 1) %}'c{{ n }}': cast(null as varchar){{ ', ' if not loop.last }}{% endfor -%} } as cells
        {%- for name in names %}, cast(null as varchar) as text_{{ name }}{% endfor %}
        {%- for condition in conditions(dataset) %}, cast(null as varchar) as selecting_{{ loop.index }}{% endfor %}
    where false
    {% for layout in layouts %}
    {% set number = loop.index %}
    {% set meant = columns_meant(dataset, layout.columns) %}
    union all
    select
        record_no, bronze_file, bronze_batch, coalesce(is_deleted, false),
        case when not_utf8 is not null then nullif(list_filter([
            {%- for name, found in meant.items() %}case when {% for column in found %}map_contains(not_utf8, {{ literal(column) }}){{ ' or ' if not loop.last }}{% endfor %} then '{{ name }}' end{{ ', ' if not loop.last }}{% endfor -%}
        ]::varchar[], lambda name: name is not null), []) end,
        {{ number }},
        bad_row,
        { {%- for n in range(width) %}'c{{ n + 1 }}': {{ physical(layout, layout.columns[n]) if n < layout.columns | length else 'cast(null as varchar)' }}{{ ', ' if not loop.last }}{% endfor -%} }
        {%- for column in contract(dataset).columns %}, {{ text_of(column, physical_of(layout, meant[column.name])) if column.name in meant else 'cast(null as varchar)' }}{% endfor %}
        {%- for condition in conditions(dataset) %}
        {%- set selecting = columns_named(as_list(condition['from']), layout.columns) %}, {{ text_of({'config': {}}, physical_of(layout, selecting)) if selecting else 'cast(null as varchar)' }}{% endfor %}
    from (
        select cast(null as varchar) as bronze_batch, cast(null as boolean) as is_deleted, cast(null as map(varchar, blob)) as not_utf8, {{ bad_row() }} as bad_row where false
        union all by name
        select * from {{ parquet(layout.files) }}
    )
    {% endfor %}
{% endmacro %}

{% macro bad_row() -%} cast(null as struct(reason varchar, raw varchar, raw_bytes blob, file varchar, line_number bigint)) {%- endmacro %}

{# The entering files of a dataset of rows, grouped by their columns: the source's names in order, and those renamed in Parquet. #}
{% macro layouts_of(dataset) %}{{ return(adapter.dispatch('layouts_of')(dataset)) }}{% endmacro %}

{% macro duckdb__layouts_of(dataset) %}
    {% set batches = ref('plan_batches') %}
    {% set where = entering_batches(dataset) %}
    {% if not execute %}{{ return([]) }}{% endif %}
    {% set found = run_query(
        "select cast(json_object('columns', columns, 'renamed', renamed, 'files', list(distinct file order by file)) as varchar) from ("
        ~ "select to_json(columns) as columns, to_json(renamed) as renamed, unnest(files) as file from " ~ batches
        ~ " where " ~ where ~ ") group by columns, renamed order by 1"
    ) %}
    {% set layouts = [] %}
    {% for text in found.columns[0].values() %}{% do layouts.append(fromjson(text)) %}{% endfor %}
    {{ return(layouts) }}
{% endmacro %}

{# The columns of a source that each column of a contract means, under its names in order, as source_columns() in ingestion/names.py
   finds the first of them. A batch of several files may have a column under an old name and a new one. #}
{% macro columns_meant(dataset, columns) %}
    {% set meant = {} %}
    {% for column in contract(dataset).columns %}
        {% set found = columns_named(names_at_source(column), columns) %}
        {% if found %}{% do meant.update({column.name: found}) %}{% endif %}
    {% endfor %}
    {{ return(meant) }}
{% endmacro %}

{# The columns of a source that some names mean, in the order of the names. #}
{% macro columns_named(names, columns) %}
    {% set found = [] %}
    {% for name in names %}
        {% set alike = [] %}
        {% for other in columns if other.lower() == name.lower() %}{% do alike.append(other) %}{% endfor %}
        {% set one = name if name in columns else (alike[0] if alike | length == 1 else none) %}
        {% if one and one not in found %}{% do found.append(one) %}{% endif %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{# Whether any name of a contract means this column of a source. #}
{% macro is_meant(column, columns, names) -%}
    ({{ column }} in ({{ listed(names) }})
        or (lower({{ column }}) in ({{ listed(names | map('lower')) }}) and len(list_filter({{ columns }}, lambda other: lower(other) = lower({{ column }}))) = 1))
{%- endmacro %}

{% macro physical_of(layout, columns) %}
    {% set names = [] %}
    {% for column in columns %}{% do names.append(physical(layout, column)) %}{% endfor %}
    {{ return(names) }}
{% endmacro %}

{% macro physical(layout, column) %}{{ return(quoted_name(layout.renamed.get(column, column))) }}{% endmacro %}

{# The batch of a record of bronze: the folder of its file, or in a file of compacted batches (ingestion/compacted.py) its column. #}
{% macro batch_of_record() -%}
    case
        when {{ regexp_matches('bronze_file', "'[/\\\\]compacted-[^/\\\\]+[/\\\\][^/\\\\]+$'") }} then bronze_batch
        else regexp_extract(bronze_file, '([^/\\]+)[/\\][^/\\]+$', 1)
    end
{%- endmacro %}

{# Files of bronze. A folder in a path that looks like `name=value` is not read as a column. #}
{% macro parquet(files) -%}
    read_parquet(['{{ files | map('replace', "'", "''") | join("', '") }}'], union_by_name = true, hive_partitioning = false, filename = 'bronze_file')
{%- endmacro %}

{# An empty name counts as missing in silver. Records keep it unchanged, because their content decides the contest. #}
{% macro empty_as_missing(name) -%} nullif({{ name }}, '') {%- endmacro %}
