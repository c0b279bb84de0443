with sessions as (
    select * from {{ ref('silver_sessions').include(database=false) }}
),

links as (
    select visitor_id, customer_id as linked_customer_id
    from {{ ref('silver_visitor_accounts').include(database=false) }}
    where is_linked
),

final as (
    select
        {{ star_replacing({'customer_id': 'coalesce(sessions.customer_id, links.linked_customer_id)'}, 'sessions') }},
        sessions.customer_id is null and links.linked_customer_id is not null as is_linked_back
    from sessions
    left join links on sessions.visitor_id = links.visitor_id
)

select * from final
