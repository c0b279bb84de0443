{# The contest: which record of a key is current. See "Fates and money" in docs/architecture.md. #}

{# The keys that a build touches, with every date on which they stand before or after it. #}
{% macro touched_keys(dataset) %}
{% set meta = contract(dataset).meta %}
{% set key = key_columns(dataset) %}
{% set columns = (meta.key + ['record_date']) | join(', ') %}
{% set leaving = leaving_batches(dataset) %}
with entering as (
    select {{ columns }} from {{ ref('staging_' ~ dataset) }} where reasons is null
),

leaving as (
    {% if leaving != 'null' %}
    select {{ columns }} from {{ before('records_' ~ dataset) }} where batch_id in ({{ leaving }})
    {% else %}
    select {{ columns }} from entering where false
    {% endif %}
),

touched as (
    select {{ columns }} from entering
    union all
    select {{ columns }} from leaving
),

standing as (
    {% if meta.get('dated_key') %}
    select {{ columns }} from touched where false
    {% else %}
    -- the one look at all of history: a scan of the key columns alone
    select {{ columns }} from {{ before('records_' ~ dataset) }} as state
    where exists (select 1 from touched where {{ same('touched', 'state', key) }})
    {% endif %}
),

final as (
    select {{ columns }} from touched
    union
    select {{ columns }} from standing
)

select * from final
{% endmacro %}

{% macro leaving_batches(dataset) %}
    {% set batches = ref('plan_batches') %}
    {{ return(literals("(select batch_id from " ~ batches ~ " where dataset = '" ~ dataset ~ "' and is_leaving)", "batch_id")) }}
{% endmacro %}

{# All records of the touched keys after this build, each with its fate. #}
{% macro contest(dataset) %}
{% set the = contract(dataset) %}
{% set keys = ref('plan_keys_' ~ dataset) %}
{% set key = key_columns(dataset) %}
{% set names = column_names(dataset) %}
{% set columns = (['batch_id', 'record_no', 'record_date'] + names) | join(', ') %}
{% set version = the.meta.get('version_column') %}
{% set dates = literals(keys, 'record_date') %}
{% set leaving = leaving_batches(dataset) %}
with pool as (
    select {{ columns }} from {{ ref('staging_' ~ dataset) }} where reasons is null
    union all
    select {{ columns }} from {{ before('records_' ~ dataset) }} as state
    where
        record_date in ({{ dates }})
        {% if leaving != 'null' %}and batch_id not in ({{ leaving }}){% endif %}
        and exists (select 1 from {{ keys }} as touched where {{ same('touched', 'state', the.meta.key + ['record_date']) }})
),

-- hash() may group, never decide: two keys in one group only cost a few needless comparisons
crowded as (
    select hash({{ key | join(', ') or 'null' }}) as key_hash from pool group by all having count(*) > 1
),

alone as (
    select *, 'current' as fate from pool
    where hash({{ key | join(', ') or 'null' }}) not in (select key_hash from crowded)
),

contested as (
    select *, {{ content_md5(names) }} as content_md5 from pool
    where hash({{ key | join(', ') or 'null' }}) in (select key_hash from crowded)
),

ranked as (
    select
        *,
        row_number() over (
            partition by {{ key | join(', ') or 'null' }}
            order by {% if version %}{{ version }} desc nulls last, {% endif %}content_md5 desc, batch_id, record_no
        ) as place,
        row_number() over (
            partition by {{ key | join(', ') or 'null' }}, content_md5 order by batch_id, record_no
        ) as copy
    from contested
),

final as (
    select {{ columns }}, fate from alone
    union all
    select
        {{ columns }},
        case when place = 1 then 'current' when copy > 1 then 'duplicate' else 'superseded' end as fate
    from ranked
)

select * from final
{% endmacro %}

{# Canonical text of a record, hashed. Each value goes in behind its length, so no two contents read the same. #}
{% macro content_md5(names) -%}
    md5(concat(
        {%- for name in names %}
        coalesce(strlen({{ name }}::varchar) || ':' || {{ name }}::varchar, '-'){{ ',' if not loop.last }}
        {%- endfor %}{{ "''" if not names }}
    ))
{%- endmacro %}
