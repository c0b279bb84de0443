{#- Create a table of a build in two statements, where dbt-duckdb takes seven: a build's file is new, so no earlier table has to
    be kept and swapped. `dbt build` typed by hand replaces the table in one transaction. -#}
{% materialization table, adapter="duckdb", supported_languages=["sql", "python"] %}
    {%- set language = model["language"] -%}
    {%- set target_relation = this.incorporate(type="table") -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- do drop_relation_if_exists(load_cached_relation(this)) -%}
    {%- set queries = queries_of_parts(compiled_code) if language == "sql" else [compiled_code] -%}
    {%- call statement("main", language=language) -%}
        {{ create_table_from(target_relation, by_date(queries[0])) if language == "sql" else create_table_as(False, target_relation, compiled_code, language) }}
    {%- endcall -%}
    {%- for query in queries[1:] -%}{%- call statement("part") -%}insert into {{ target_relation }} by name {{ query }}{%- endcall -%}{%- endfor -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [target_relation]}) }}
{% endmaterialization %}

{#- Create a table from a query. Columns whose YAML says `meta: {storage: uncompressed}` are stored so. -#}
{% macro create_table_from(relation, sql) %}
    {%- set found = namespace(any=false) -%}
    {%- for column in model.columns.values() if column.config.meta.storage -%}{%- set found.any = true -%}{%- endfor -%}
    {%- if model.config.contract.enforced or not found.any -%}
        {{ create_table_as(False, relation, sql) }}
    {%- else -%}
    create table {{ relation }} (
        {%- for column in get_column_schema_from_query(sql) -%}
            {{ adapter.quote(column.name) }} {{ column.dtype }}{{ stored(model.columns.get(column.name)) }}{{ ", " if not loop.last }}
        {%- endfor -%}
    );
    insert into {{ relation }} {{ sql }}
    {%- endif -%}
{% endmacro %}

{#- What the definition of a column in YAML says of its storage. DuckDB packs numbers of 128 bits, such as decimals of more than 18 digits,
    into few bits, and takes 0.3 microseconds to unpack each: a hundred times as long as to read one that is not packed. -#}
{% macro stored(column) %}{{ return(" using compression " ~ column.config.meta.storage if column and column.config.meta.storage else "") }}{% endmacro %}

{# The columns of a table whose contract is enforced. #}
{% macro duckdb__get_table_columns_and_constraints() %}
    {%- set lines = [] -%}
    {%- for line in adapter.render_raw_columns_constraints(raw_columns=model.columns) -%}
        {%- do lines.append(line ~ stored((model.columns.values() | list)[loop.index0])) -%}
    {%- endfor -%}
    ({{ (lines + adapter.render_raw_model_constraints(raw_constraints=model.constraints)) | join(", ") }})
{% endmacro %}

{# Compare the columns of an enforced contract with those of the query in one statement. dbt's own macro asks DuckDB for the
   declared columns as well, and formats each column with two macros: it is left to say what differs. #}
{% macro duckdb__get_assert_columns_equivalent(sql) %}
    {%- set found = get_column_schema_from_query(sql) -%}
    {%- set types = {} -%}
    {%- for column in found -%}{%- do types.update({column.name: column.dtype | lower}) -%}{%- endfor -%}
    {%- set other = namespace(any=found | length != model.columns | length) -%}
    {%- for column in model.columns.values() if types.get(column.name) != column.data_type | lower | replace(", ", ",") -%}
        {%- set other.any = true -%}
    {%- endfor -%}
    {%- if other.any -%}{{ assert_columns_equivalent(sql) }}{%- endif -%}
{% endmacro %}

{#- The date among the columns that an `apply` matches. -#}
{% macro date_matched(apply) %}{% for column in apply.by if column[-5:] == "_date" %}{{ return(column) }}{% endfor %}{% endmacro %}

{#- Sort a model's rows by the date that its `apply` matches, in a build of many dates. DuckDB skips row groups by their least and
    greatest date: later builds would otherwise read all of the history that such a build has written. -#}
{% macro by_date(sql) %}
    {%- set apply = model.config.meta.apply -%}
    {%- set date = date_matched(apply) if apply and apply.by -%}
    {%- if var("has_many_dates", false) and date -%}
        select * from (
        {{ sql }}
        ) order by {{ apply.by[date] if apply.by is mapping else date }}
    {%- else -%}
        {{ sql }}
    {%- endif -%}
{% endmacro %}

{#- Create a dated table of which a build makes only the rows that its `apply` matches: they are in `changed.<model>`, and the
    table itself is a view of them and of the state's other rows on these dates. So models read whole dates, and a build writes
    what changes. If the state has no other rows there, as in a full build, it is a table like any other. -#}
{% materialization changes, adapter="duckdb" %}
    {%- set apply = model.config.meta.apply -%}
    {%- set match = ref(apply.match) -%}
    {%- set date = date_matched(apply) -%}
    {%- set touched = literals(match, date) -%}
    {%- set kept = literals("(select " ~ date ~ " from " ~ before(model.name) ~ " where " ~ date ~ " in (" ~ touched ~ "))", date) -%}
    {%- set is_view = kept != no_values() -%}
    {%- set rows = this.incorporate(path={"schema": "changed", "identifier": model.name}, type="table") -%}
    {%- set target_relation = this.incorporate(type="view" if is_view else "table") -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- do drop_relation_if_exists(load_cached_relation(this)) -%}
    {%- if is_view %}
        {%- call statement("main") -%}{{ create_table_from(rows, by_date(compiled_code)) }}{%- endcall -%}
        {%- call statement("view") -%}
            create view {{ target_relation }} as
            select * from {{ rows }}
            union all by name
            select * from {{ before(model.name) }} anti join {{ replaced(model.name, date ~ " in (" ~ kept ~ ")") }} where {{ date }} in ({{ kept }})
        {%- endcall -%}
    {%- else %}
        {%- call statement("main") -%}{{ create_table_from(target_relation, by_date(compiled_code)) }}{%- endcall -%}
    {%- endif %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [target_relation]}) }}
{% endmaterialization %}
