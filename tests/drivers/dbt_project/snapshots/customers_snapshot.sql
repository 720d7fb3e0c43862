{% snapshot customers_snapshot %}
{{ config(target_schema='DBT', unique_key='id', strategy='check', check_cols=['country']) }}
select id, country, email from {{ source('crm', 'CUSTOMERS') }} where id < 50
{% endsnapshot %}
