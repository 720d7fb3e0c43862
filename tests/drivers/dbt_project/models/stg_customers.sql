{{ config(materialized='view') }}
select id, full_name, email, country, signup_date from {{ source('crm', 'CUSTOMERS') }}
