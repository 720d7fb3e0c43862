{{ config(materialized='incremental', unique_key='id', incremental_strategy='delete+insert') }}
select id, email, country from {{ source('crm', 'CUSTOMERS') }}
{% if is_incremental() %} where id > 1990 {% endif %}
