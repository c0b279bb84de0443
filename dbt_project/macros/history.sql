{# Every version of a dataset's rows that has landed, with the time in which it was valid: from its update to the next one, the
   first from `since`. A version that was overwritten between two ingests is missing. So is one that a decision withdrew. #}
{% macro history(dataset, columns, since) %}
{% set the = contract(dataset) %}
{% set key = the.meta.key | join(', ') %}
{% set version = the.meta.get('version_column', 'null') %}
with versions as (
    select *, {{ content_md5(column_names(dataset)) }} as content_md5
    from {{ ref('records_' ~ dataset) }}
    where fate in ('current', 'superseded') and decision is null and not is_deleted
    -- if one version has two contents, keep the one that wins the contest
    qualify row_number() over (partition by {{ key or 'null' }}, {{ version }} order by content_md5 desc, batch_id, record_no) = 1
),

numbered as (
    select
        *,
        row_number() over (partition by {{ key or 'null' }} order by {{ version }} nulls first) as version_number,
        lead({{ version }}) over (partition by {{ key or 'null' }} order by {{ version }} nulls first) as valid_to
    from versions
),

final as (
    select
        {{ key or 'null as nothing' }},
        version_number,
        case when version_number = 1 then {{ since }} else {{ version }} end as valid_from,
        valid_to,
        {{ columns | join(', ') }},
        batch_id,
        record_no
    from numbered
)

select * from final
{% endmacro %}
