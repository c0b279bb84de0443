{# The usual form of lines: how most lines of a build are written. Values written in it again give the line, byte for byte, only
   if the line has no other key, none twice, and no value that was changed or read leniently. Such a line needs no closer look,
   which takes two parses more. A producer nearly always writes one form, but each writes its own: so a sample tells it. #}

{# A few lines of some of the files. #}
{% macro sampled_lines(files) %}
    {% set step = [files | length // 16, 1] | max %}
    {% for file in files[::step] -%}
    (select raw from {{ parquet([file]) }} limit 30){{ ' union all ' if not loop.last }}
    {%- endfor %}
{% endmacro %}

{# The form that a third of a sample of the entering lines has, or none: `keys` in order, each with its name, whether it is
   `quoted`, and whether it is there with `null` if it has no value; what `parts` keys, `follows` a key, and `ends` a line. #}
{% macro usual_form(dataset) %}
    {% set files = entering_files(dataset) %}
    {% if not files %}{{ return(none) }}{% endif %}
    {# a path, or one of several names, needs parses of its own; a value that the contract gives has no kind; one that two columns
       are read from has two #}
    {% set names = [] %}
    {% for column in contract(dataset).columns %}
        {% if names_at_source(column)[0] in names %}{{ return(none) }}{% endif %}
        {% do names.append(names_at_source(column)[0]) %}
    {% endfor %}
    {% for column in contract(dataset).columns if is_path(names_at_source(column)[0]) or names_at_source(column) | length > 1 or (column.config.meta or {}).get('constant') is not none %}{{ return(none) }}{% endfor %}
    {% set seen = run_query(
        "select cast(to_json({'keys': keys, 'kinds': kinds, 'is_spaced': is_spaced, 'ends': ends}) as varchar) from (select json_keys(raw) as keys, json_type(raw, '$.*') as kinds,"
        ~ " starts_with(raw, '{\"' || json_keys(raw)[1] || '\": ') as is_spaced, case when suffix(raw, chr(13) || chr(10)) then chr(13) || chr(10) else chr(10) end as ends"
        ~ " from (select case when json_valid(raw) and starts_with(raw, '{') then raw end as raw from (" ~ sampled_lines(files) ~ ")) where raw is not null)"
        ~ " group by all order by count(*) desc, 1 limit 40"
    ).columns[0].values() %}
    {% set form = form_of(dataset, seen) %}
    {% if not form %}{{ return(none) }}{% endif %}
    {% set share = run_query(
        "select coalesce(avg(cast(" ~ is_in_form(dataset, form) ~ " as integer)), 0) from (select raw, from_json(case when json_valid(raw) then raw end, "
        ~ shape_of_lines(dataset, form) ~ ") as parsed from (" ~ sampled_lines(files) ~ "))"
    ).columns[0].values()[0] %}
    {{ return(form if share > 0.33 else none) }}
{% endmacro %}

{# Put together what lines have: a key goes behind the one that it follows in the first line that has it. #}
{% macro form_of(dataset, seen) %}
    {% set order, quoted, nulls, others = [], {}, {}, [] %}
    {% for text in seen %}
        {% set line = fromjson(text) %}
        {% for key in line['keys'] %}
            {% if key not in order %}{% do order.insert(order.index(line['keys'][loop.index0 - 1]) + 1 if not loop.first else 0, key) %}{% endif %}
            {% set kind = line.kinds[loop.index0] %}
            {% if kind == 'NULL' %}{% do nulls.update({key: true}) %}{% elif key not in quoted %}{% do quoted.update({key: kind == 'VARCHAR'}) %}{% endif %}
        {% endfor %}
    {% endfor %}
    {% if not order %}{{ return(none) }}{% endif %}
    {% set allowed = {} %}
    {% for column in contract(dataset).columns %}{% do allowed.update({names_at_source(column)[0]: json_kinds(column)}) %}{% endfor %}
    {% for key in order %}
        {# a name that needs care as JSON or as SQL, or that is another but for its case #}
        {% if not modules.re.fullmatch('[A-Za-z_][A-Za-z0-9_.]*', key) or (key not in allowed and key.lower() in (allowed | map('lower') | list) + others) %}{{ return(none) }}{% endif %}
        {% if key not in allowed %}{% do others.append(key.lower()) %}{% endif %}
        {% if quoted.get(key) and 'VARCHAR' not in allowed.get(key, ['VARCHAR']) %}{{ return(none) }}{% endif %}
    {% endfor %}
    {% set keys = [] %}
    {% for key in order %}{% do keys.append({'name': key, 'quoted': quoted.get(key, 'VARCHAR' in allowed.get(key, [])), 'null': nulls.get(key, false)}) %}{% endfor %}
    {% set first = fromjson(seen[0]) %}
    {{ return({'keys': keys, 'parts': ', ' if first.is_spaced else ',', 'follows': ': ' if first.is_spaced else ':', 'ends': first.ends}) }}
{% endmacro %}

{# The structure that lines are read with: the contract's names, and the other keys of the usual form. #}
{% macro shape_of_lines(dataset, form) -%}
    {%- set types = {} -%}
    {%- for column in contract(dataset).columns -%}
        {%- for name in names_at_source(column) if not is_path(name) -%}{%- do types.update({name: 'JSON' if column.data_type == 'json' else 'VARCHAR'}) -%}{%- endfor -%}
    {%- endfor -%}
    {%- for key in (form['keys'] if form else []) if key.name not in types -%}{%- do types.update({key.name: 'JSON'}) -%}{%- endfor -%}
    '{ {%- for name, type in types.items() -%} "{{ name.replace("'", "''") }}":"{{ type }}"{{ ',' if not loop.last }} {%- endfor -%} }'
{%- endmacro %}

{# Whether a line, `raw`, is in a form, by its values, `parsed`. #}
{% macro is_in_form(dataset, form) -%}
    {%- set types, kinds = {}, {} -%}
    {%- for column in contract(dataset).columns -%}
        {%- do types.update({names_at_source(column)[0]: column.data_type}) -%}
        {%- do kinds.update({names_at_source(column)[0]: json_kinds(column)}) -%}
    {%- endfor -%}
    {%- set parts, checks = [], [] -%}
    {%- for key in form['keys'] -%}
        {%- set value = 'parsed."' ~ key.name ~ '"' -%}
        {%- set is_json = types.get(key.name, 'json') == 'json' -%}
        {%- set text = value ~ '::varchar' if is_json else value -%}
        {%- set quote = '"' if key.quoted and not is_json else '' -%}
        {%- set before = ('{' if loop.first else form.parts) ~ '"' ~ key.name ~ '"' ~ form.follows -%}
        {#- flat, as DuckDB makes a text of each part of an expression -#}
        {%- do parts.append("case when " ~ value ~ " is not null then " ~ literal(before ~ quote) ~ (" else " ~ literal(before ~ 'null') if key.null) ~ " end") -%}
        {%- do parts.append("replace(replace(replace(" ~ text ~ ", '\":', '\": '), ',\"', ', \"'), ',{', ', {')" if is_json and form.parts == ', ' else text) -%}
        {%- if quote -%}{%- do parts.append("case when " ~ value ~ " is not null then '\"' end") -%}{%- endif -%}
        {%- if is_json -%}
            {#- DuckDB reads and writes these, though they are not JSON -#}
            {%- set check = "not contains(" ~ text ~ ", 'NaN') and not contains(" ~ text ~ ", 'Infinity')" -%}
            {%- if key.name in kinds -%}
                {%- set begins = {'OBJECT': '{', 'ARRAY': '['} -%}
                {%- set allowed = [] -%}
                {%- for kind in kinds[key.name] if kind in begins -%}{%- do allowed.append(begins[kind]) -%}{%- endfor -%}
                {%- set check = check ~ " and left(" ~ text ~ ", 1) in (" ~ (listed(allowed) or "''") ~ ")" -%}
            {%- endif -%}
            {%- do checks.append(value ~ " is null or " ~ check) -%}
        {%- elif not key.quoted -%}
            {#- a number of up to 15 digits, which a double holds exactly -#}
            {%- set whole = '-?(0|[1-9][0-9]{0,14})' -%}
            {%- set check = "regexp_full_match(" ~ value ~ ", '" ~ whole ~ ("(\\.[0-9]+)?' ) and strlen(" ~ value ~ ") <= 16" if 'DOUBLE' in kinds[key.name] else "')")
                if 'BIGINT' in kinds[key.name] else value ~ " in ('true', 'false')" if 'BOOLEAN' in kinds[key.name] else "false" -%}
            {%- do checks.append(value ~ " is null or " ~ check) -%}
        {%- endif -%}
    {%- endfor -%}
    coalesce(case when concat({{ parts | join(', ') }}, {{ literal('}' ~ form.ends) }}) = raw then {% for check in checks %}({{ check }}) and {% endfor %}true end, false)
{%- endmacro %}
