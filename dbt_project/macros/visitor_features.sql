{# A visitor's events in the hour and in the 7 days before a moment, as features for a recommender. `moments` has visitor_id and
   as_of. Events at that moment or later are left out, so that no future data leaks into training. One row per moment, with
   zeros if there were no events. #}
{% macro visitor_features(moments, events) -%}
    select
        moments.visitor_id,
        moments.as_of,
        {% for suffix, length in [('last_hour', '1 hour'), ('7_days', '7 days')] -%}
        {% set recent = "events.event_time >= moments.as_of - interval '" ~ length ~ "'" -%}
        count(*) filter (where {{ recent }}) as events_{{ suffix }},
        {% for kind in ['page_view', 'search', 'add_to_cart', 'purchase'] -%}
        count(*) filter (where {{ recent }} and {{ event_is(kind, 'events.event_type') }}) as {{ kind }}_events_{{ suffix }},
        {% endfor -%}
        count(distinct events.product_id) filter (where {{ recent }} and events.product_id is not null) as products_{{ suffix }},
        {% endfor -%}
        count(distinct events.event_date) as active_dates_7_days,
        max(events.event_time) as last_event_at,
        max_by(events.product_id, {{ struct_of({'time': 'events.event_time', 'id': 'events.event_id'}) }}) filter (where events.product_id is not null) as last_product_id
    from {{ moments }} as moments
    left join {{ events }} as events
        on moments.visitor_id = events.visitor_id
        and events.event_time >= moments.as_of - interval '7 days'
        and events.event_time < moments.as_of
    group by moments.visitor_id, moments.as_of
{%- endmacro %}
