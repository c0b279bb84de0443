{# The contract of a dataset, read from its source YAML. Empty while dbt parses: the graph does not exist yet. #}

{% macro contract(dataset) %}
    {% if not execute %}{{ return({'meta': {'key': [], 'format': 'rows'}, 'columns': []}) }}{% endif %}
    {% for node in graph.sources.values() if node.name == dataset %}
        {{ return({'meta': node.config.meta, 'columns': node.columns.values() | list}) }}
    {% endfor %}
    {{ exceptions.raise_compiler_error("dataset " ~ dataset ~ " has no contract. Next: add models/staging/staging_" ~ dataset ~ ".yml") }}
{% endmacro %}

{# dbt builds its graph before it knows the sources, so dbt_project.yml lists the datasets. #}
{% macro datasets() %}{{ return(var('datasets')) }}{% endmacro %}

{# The columns that identify a key in records: an event's date is part of its key. #}
{% macro key_columns(dataset) %}
    {% set meta = contract(dataset).meta %}
    {{ return(meta.key + (['record_date'] if meta.get('dated_key') else [])) }}
{% endmacro %}

{% macro column_names(dataset) %}
    {{ return(contract(dataset).columns | map(attribute='name') | list) }}
{% endmacro %}

{# The names that a column may have at its source: its own, unless the contract says `from`; or those of the columns that it joins. #}
{% macro names_at_source(column) %}
    {% set meta = column.config.meta or {} %}
    {{ return(as_list(meta.get('join') or meta.get('from') or column.name)) }}
{% endmacro %}

{# One text of those that a source has for a column: of joined ones all that have a value, with a blank between them, else the first. #}
{% macro text_of(column, texts) %}
    {% if (column.config.meta or {}).get('join') %}
        {% set parts = [] %}
        {% for text in texts %}{% do parts.append("nullif(" ~ text ~ ", '')") %}{% endfor %}
        {{ return("nullif(concat_ws(' ', " ~ parts | join(', ') ~ "), '')") }}
    {% endif %}
    {{ return(texts[0] if texts | length == 1 else 'coalesce(' ~ texts | join(', ') ~ ')') }}
{% endmacro %}

{# A contract may say one text, or a list of them. #}
{% macro as_list(said) %}{{ return([said] if said is string else said) }}{% endmacro %}

{# A value of a contract as the text that a source would give: YAML reads true and false as its own. #}
{% macro as_text(value) %}{{ return(value | string | lower if value is boolean else value | string) }}{% endmacro %}

{# Whether a name at the source is a path into a line, and that path, as JSON functions take it. #}
{% macro is_path(name) %}{{ return(name[:2] in ('$.', '$[')) }}{% endmacro %}
{% macro path_of(name) %}{{ return(modules.re.sub("\\['([^']+)'\\]", '."\\1"', name) if is_path(name) else '$."' ~ name ~ '"') }}{% endmacro %}

{# The name at the top of a line under which a name at the source is. #}
{% macro top_of(name) %}{{ return(modules.re.split('[.[]', name)[1] if is_path(name) else name) }}{% endmacro %}

{# What `where` says of the rows that are a dataset's records; and that a line has an element of its list, where `each` makes records of them. #}
{% macro conditions(dataset) %}
    {% set meta = contract(dataset).meta %}
    {{ return((meta.get('where') or []) + ([{'from': meta.each, 'is_not': ['', '[]']}] if meta.get('each', '$') != '$' else [])) }}
{% endmacro %}

{# Whether a row, whose texts for the conditions are selecting_1 and so on, is a record of its dataset. A row that only says
   that its key is gone has no other column. #}
{% macro is_selected(dataset) %}
    {% set all = [] %}
    {% for condition in conditions(dataset) %}
        {% set text, any = 'selecting_' ~ loop.index, [] %}
        {% for one in as_list(condition['is'] if 'is' in condition else condition['is_not']) %}
            {% if one == '' %}{% do any.append(text ~ " is null or " ~ text ~ " = ''") %}
            {% elif one | length > 2 and one[0] == '/' and one[-1] == '/' %}{% do any.append(regexp_full_match(text, literal(one[1:-1]))) %}
            {% else %}{% do any.append(text ~ ' = ' ~ literal(one)) %}{% endif %}
        {% endfor %}
        {% do all.append(('' if 'is' in condition else 'not ') ~ 'coalesce(' ~ any | join(' or ') ~ ', false)') %}
    {% endfor %}
    {{ return(('' if contract(dataset).meta.format == 'json_lines' else 'is_deleted or ') ~ '(' ~ all | join(' and ') ~ ')') }}
{% endmacro %}

{# The text of a column that says which row a record is: a hash of its content and of its number among the equal rows of its
   batch, or the equal lines of its file, so that it depends on no order. Empty for a column that the source has. #}
{% macro row_id(dataset, name) %}
    {% set texts, own = [], [] %}
    {% for column in contract(dataset).columns %}
        {% if (column.config.meta or {}).get('row_id') %}{% if column.name == name %}{% do own.append(column.data_type) %}{% endif %}
        {% else %}{% do texts.append('text_' ~ column.name) %}{% endif %}
    {% endfor %}
    {% if not own %}{{ return('') }}{% endif %}
    {% set lines = contract(dataset).meta.format == 'json_lines' %}
    {% set content = trimmed_behind('bronze_row.raw', 'chr(10)') if lines else texts | join(', ') %}
    {% set among = 'batch_id, bronze_row.file' if lines else 'batch_id' %}
    {% set number = "cast(row_number() over (partition by " ~ among ~ ", " ~ content ~ " order by record_no) as " ~ sql_type('varchar') ~ ")" %}
    {% set hash = "md5(" ~ to_json_text(list_of([content, number])) ~ ")" %}
    {{ return(hash if own[0] == 'varchar' else number_of_hash(hash)) }}
{% endmacro %}

{# Whether an event plays a part, such as page_view: its type has that name, or one that the contract's `roles` list for it. #}
{% macro event_is(role, event_type='event_type') %}
    {% set named = namespace(types=[role]) %}
    {% for column in contract('clickstream').columns if column.name == 'event_type' %}
        {% set said = ((column.config.meta or {}).get('roles') or {}).get(role) or role %}
        {% set named.types = as_list(said) %}
    {% endfor %}
    {{ return(event_type ~ ' in (' ~ listed(named.types) ~ ')') }}
{% endmacro %}

{# The columns whose texts the contract translates before they are typed, with the SQL for each. #}
{% macro columns_written_otherwise(dataset) %}
    {% set found = {} %}
    {% for column in contract(dataset).columns %}
        {% set text = meant_text('text_' ~ column.name, column.config.meta or {}) %}
        {% if text != 'text_' ~ column.name %}{% do found.update({column.name: text}) %}{% endif %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}

{# Whether the source is to have a column. #}
{% macro is_at_source(column) %}
    {% set meta = column.config.meta or {} %}
    {{ return(not meta.get('row_id') and not meta.get('absent') and meta.get('constant') is none) }}
{% endmacro %}

{# The names of a dataset's columns at its source, and of those of other datasets that are read from the same place. #}
{% macro names_read_beside(dataset) %}
    {% set names, place = [], contract(dataset).meta.get('location') %}
    {% for other in datasets() if other == dataset or (place and contract(other).meta.get('location') == place) %}
        {% do names.extend(all_names_at_source(other)) %}
    {% endfor %}
    {{ return(names) }}
{% endmacro %}

{% macro all_names_at_source(dataset) %}
    {% set names = [] %}
    {% for column in contract(dataset).columns if is_at_source(column) %}
        {% for name in names_at_source(column) %}
            {% do names.append(top_of(name)) %}
        {% endfor %}
    {% endfor %}
    {% for condition in conditions(dataset) %}
        {% for name in as_list(condition['from']) %}{% do names.append(top_of(name)) %}{% endfor %}
    {% endfor %}
    {{ return(names) }}
{% endmacro %}

{# Join condition over columns that may be null. #}
{% macro same(left, right, columns) -%}
    {%- for column in columns -%}
        {{ left }}.{{ column }} is not distinct from {{ right }}.{{ column }}{{ ' and ' if not loop.last }}
    {%- endfor -%}
    {%- if not columns -%} true {%- endif -%}
{%- endmacro %}
