{{ config(materialized='incremental', unique_key='id') }}
select id, customer_id, amount from {{ source('crm', 'ORDERS') }}
{% if is_incremental() %} where id > (select max(id) - 10 from {{ this }}) {% endif %}
