{# The contest decides which record of a key is current. A record may say that its key is gone: it competes like any version,
   wins against a record of its own version, and if it is current, the key has no row in silver. #}

{# The keys that a build touches, with every date on which they have records before or after it. A key may be there several
   times: rows are matched with them by semi and anti joins, and to make millions of them distinct takes as long as to find them.
   If the date is part of the key, one key stands for all of a new date, on which the state has nothing to match. #}
{% macro touched_keys(dataset) %}
{% set meta = contract(dataset).meta %}
{% set key = key_columns(dataset) %}
{% set columns = (meta.key + ['record_date']) | join(', ') %}
{% set leaving = leaving_batches(dataset) %}
{% set new = new_dates(dataset) if meta.get('dated_key') else no_values() %}
{% set stay = duplicates_stay(dataset) %}
with entering as (
    select {{ columns }} from ({{ entering(dataset) }})
    where reasons is null
    {%- if new != no_values() %} and (record_date is null or record_date not in ({{ new }}))
    union all
    select {% for column in meta.key %}min({{ column }}) as {{ column }}, {% endfor %}record_date from ({{ entering(dataset) }})
    where reasons is null and record_date in ({{ new }})
    group by record_date
    {%- endif %}
),

leaving as (
    {% if leaving != no_values() %}
    select {{ columns }} from {{ before('records_' ~ dataset) }} where batch_id in ({{ leaving }})
    {% else %}
    select {{ columns }} from entering where false
    {% endif %}
),

decided as (
    {% set decided = decided_batches(dataset) %}
    {% if decided != no_values() %}
    select {{ columns }} from {{ before('records_' ~ dataset) }} as state
    semi join {{ ref('plan_decided') }} as decided
        on state.batch_id = decided.batch_id and (decided.record_no is null or state.record_no = decided.record_no)
    where batch_id in ({{ decided }})
    {% else %}
    select {{ columns }} from entering where false
    {% endif %}
),

touched as (
    select {{ columns }} from entering
    union all
    select {{ columns }} from leaving
    union all
    select {{ columns }} from decided
),

standing as (
    {% if meta.get('dated_key') %}
    select {{ columns }} from touched where false
    {% else %}
    -- the only scan of all history: it reads the key columns only
    select {{ columns }} from {{ before('records_' ~ dataset) }} as state
    semi join touched on {{ same('touched', 'state', key) }}
    {% if stay %}where fate <> 'duplicate'{% endif %}

    {% endif %}
),

final as (
    select {{ columns }}, {{ 'true' if stay else 'false' }} as duplicates_stay from touched
    union all
    select {{ columns }}, {{ 'true' if stay else 'false' }} as duplicates_stay from standing
)

select * from final
{% endmacro %}

{# Whether the state's duplicates stay what and where they are. A duplicate is behind a record of the same content, which is no
   duplicate: it can become anything else only if that record leaves, or by a decision of this build. So it need not compete again,
   which would be most of the work for a table that lands whole each day. Decisions are few, and read as a whole. #}
{% macro duplicates_stay(dataset) %}
    {% set nothing = no_values() %}
    {{ return(dataset != 'decisions' and leaving_batches(dataset) == nothing and decided_batches(dataset) == nothing) }}
{% endmacro %}

{# The dates of the entering records on which the state has none of the dataset. #}
{% macro new_dates(dataset) %}
    {% set dates = literals("(" ~ entering(dataset) ~ ")", "record_date") %}
    {% set known = "select record_date from " ~ before("records_" ~ dataset) ~ " where record_date in (" ~ dates ~ ")" %}
    {{ return(literals("(select * from (" ~ entering(dataset) ~ ") where record_date not in (" ~ known ~ "))", "record_date")) }}
{% endmacro %}

{% macro leaving_batches(dataset) %}
    {% set batches = ref('plan_batches') %}
    {{ return(literals("(select batch_id from " ~ batches ~ " where dataset = '" ~ dataset ~ "' and is_leaving)", "batch_id")) }}
{% endmacro %}

{# The batches with records whose fate a decision may have changed. There are no decisions about decisions. #}
{% macro decided_batches(dataset) %}
    {% if dataset == 'decisions' %}{{ return(no_values()) }}{% endif %}
    {% set decided = ref('plan_decided') %}
    {{ return(literals("(select batch_id from " ~ decided ~ " where dataset = '" ~ dataset ~ "')", "batch_id")) }}
{% endmacro %}

{% macro ruled_batches(dataset) %}
    {% if dataset == 'decisions' %}{{ return(no_values()) }}{% endif %}
    {% set rulings = ref('plan_rulings') %}
    {{ return(literals("(select batch_id from " ~ rulings ~ " where dataset = '" ~ dataset ~ "')", "batch_id")) }}
{% endmacro %}

{# The datasets that decisions can be about. #}
{% macro ruled_datasets() %}{{ return(datasets() | reject('equalto', 'decisions') | list) }}{% endmacro %}

{# The parsed records of the entering batches, without held ones. #}
{% macro entering(dataset) -%}
    select * from {{ ref('staging_' ~ dataset) }}
    {%- if dataset != 'decisions' %}
    {%- set held = ref('plan_held') %}
    where batch_id not in (select batch_id from {{ held }})
    {%- endif %}
{%- endmacro %}

{# The batches that a build moves: those that enter or leave, and those of the state that are retracted or restored. #}
{% macro moved_batches() -%}
    select dataset, batch_id, window_date, inputs from {{ ref('plan_batches') }}
    union all
    select dataset, batch_id, window_date, inputs from {{ before('ops_batches') }}
    where batch_id in (select batch_id from {{ ref('plan_decided') }} where record_no is null)
{%- endmacro %}

{# The ruling on each record of a relation that has one. A withdrawal takes precedence over a correction. #}
{% macro rulings_by_record(relation) -%}
    select
        {{ relation }}.batch_id,
        {{ relation }}.record_no,
        max_by(rulings.decision, {{ struct_of({'fate': 'rulings.fate', 'decision': 'rulings.decision'}) }}) as decision,
        max(rulings.fate) as fate
    from {{ relation }}
    inner join {{ ref('plan_rulings') }} as rulings
        on {{ relation }}.batch_id = rulings.batch_id and (rulings.record_no is null or rulings.record_no = {{ relation }}.record_no)
    group by {{ relation }}.batch_id, {{ relation }}.record_no
{%- endmacro %}

{# All records of the touched keys after this build, each with its fate, but for the state's duplicates if they stay. #}
{% macro contest(dataset) %}
{% set the = contract(dataset) %}
{% set keys = ref('plan_keys_' ~ dataset) %}
{% set key = key_columns(dataset) %}
{% set names = column_names(dataset) %}
{% set columns = (['batch_id', 'record_no', 'record_date', 'is_deleted'] + names) | join(', ') %}
{% set version = the.meta.get('version_column') %}
{% set dates = literals(keys, 'record_date') %}
{% set leaving = leaving_batches(dataset) %}
{% set is_ruled = ruled_batches(dataset) != no_values() %}
with pool as{{ read_again() }} (
    select {{ columns }} from ({{ entering(dataset) }}) where reasons is null
    union all
    select {{ columns }} from {{ before('records_' ~ dataset) }} as state
    semi join {{ keys }} as touched on {{ same('touched', 'state', the.meta.key + ['record_date']) }}
    where record_date in ({{ dates }}){% if leaving != no_values() %} and batch_id not in ({{ leaving }}){% endif %}
    {%- if duplicates_stay(dataset) %} and fate <> 'duplicate'{% endif %}

),

{% if is_ruled -%}
ruled as (
    {{ rulings_by_record('pool') }}
),

contestants as (
    select * from pool anti join ruled using (batch_id, record_no)
),
{% endif -%}
{% set contestants = 'contestants' if is_ruled else 'pool' %}
{% set key_hash = hash_of(key | join(', ') or 'null') %}
-- hash() is used to group, never to decide: two keys in one group only cost a few needless comparisons
crowded as (
    select {{ key_hash }} as key_hash from {{ contestants }} group by all having count(*) > 1
),

alone as (
    select *, 'current' as fate from {{ contestants }}
    where {{ key_hash }} not in (select key_hash from crowded)
),

contested as (
    select *, {{ content_md5(names) }} as content_md5 from {{ contestants }}
    where {{ key_hash }} in (select key_hash from crowded)
),

ranked as (
    select
        *,
        row_number() over (
            partition by {{ key | join(', ') or 'null' }}
            order by {% if version %}{{ version }} desc nulls last, {% endif %}is_deleted desc, content_md5 desc, batch_id, record_no
        ) as place,
        row_number() over (
            partition by {{ key | join(', ') or 'null' }}, is_deleted, content_md5 order by batch_id, record_no
        ) as copy
    from contested
),

final as (
    select {{ columns }}, cast(null as string) as decision, fate from alone
    {% if is_ruled -%}
    union all
    select {{ columns }}, decision, fate from pool inner join ruled using (batch_id, record_no)
    {% endif -%}
    union all
    select
        {{ columns }},
        null as decision,
        case when place = 1 then 'current' when copy > 1 then 'duplicate' else 'superseded' end as fate
    from ranked
)

select * from final
{% endmacro %}

{# The hash of a record's canonical text. Each value is preceded by its length, so that different contents give different texts. #}
{% macro content_md5(names) -%}
    md5(concat(
        {%- for name in names %}
        coalesce({{ byte_length(name ~ '::string') }} || ':' || {{ name }}::string, '-'){{ ',' if not loop.last }}
        {%- endfor %}{{ "''" if not names }}
    ))
{%- endmacro %}

{# Whether the refusals among some records are too many to be chance, at an expected share: n KL(refused/n, share) > 20, which
   chance exceeds once in 500 million. 3 of 3 may be chance; 62 of 137 are not. #}
{% macro is_beyond_chance(refused, records, share) -%}
    coalesce({{ refused }} > {{ share }} * {{ records }} and (
            {{ refused }} * ln(greatest({{ refused }}, 1) / ({{ records }} * {{ share }}))
            + ({{ records }} - {{ refused }}) * ln(greatest({{ records }} - {{ refused }}, 1) / ({{ records }} * (1 - {{ share }})))
        ) > 20, false)
{%- endmacro %}
