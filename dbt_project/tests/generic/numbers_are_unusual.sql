{# What this build judged, and what is still new: the last week of each dataset. #}
{% test numbers_are_unusual(model) %}
{{ config(severity='error', meta={'finding': 'these numbers are not usual for their day or hour of the week: look at their source. Next: clearwell builds accept FINDING --reason TEXT, with anomaly: and a name; or wait, as they are told for a week', 'on_failure': 'alert'}) }}
    with known as (
        {{ whole('ops_anomalies') }}
    )

    select anomaly, dataset, value, expected, score
    from known
    inner join {{ ref('ops_completeness') }} as datasets using (dataset)
    where
        is_alert and not is_accepted
        and (
            period_start >= datasets.latest_window_end - interval 7 days
            or (dataset, cast(period_start as date)) in (select dataset, record_date from {{ ref('plan_judged') }})
        )
    order by period_start desc, abs(score) desc
{% endtest %}
