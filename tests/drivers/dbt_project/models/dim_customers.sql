{{ config(persist_docs={'relation': true}) }}
with bought as (
    select customer_id, count(*) as orders, sum(amount) as total
    from {{ source('crm', 'ORDERS') }}
    group by customer_id
)
select c.id, c.full_name, c.email, c.country, coalesce(b.orders, 0) as orders, b.total
from {{ ref('stg_customers') }} c
left join bought b on b.customer_id = c.id
