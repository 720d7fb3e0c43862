"""Statements as dbt and as BI tools send them, made up from a seed: the same ones every time.

Both work on the reference catalog of `tests/vectors`, with a schema of models beside it. The forms
are those the tools are known for: dbt's comment, its tests and incremental models; the quoting, the
date constants and the optional filters of dashboards. Values differ from statement to statement as
they do in a day of use.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

SEED = 20261124
REFERENCE = Path(__file__).parents[2] / "tests" / "vectors" / "reference" / "catalog.json"

REGIONS = ["EMEA", "APAC", "AMER", "LATAM", "NORDICS"]
STATUSES = ["placed", "shipped", "completed", "returned"]
CATEGORIES = ["toys", "books", "garden", "music", "food"]
KINDS = ["view", "click", "cart", "checkout", "search"]


def catalog() -> bytes:
    """The reference catalog with the tables that dbt's models are."""
    known = json.loads(REFERENCE.read_text())
    orders = known["tables"]["CRM.PUBLIC.ORDERS"]
    for name in ("STG_ORDERS", "FCT_ORDERS", "FCT_ORDERS__DBT_TMP", "DIM_ORDERS"):
        known["tables"][f"CRM.ANALYTICS.{name}"] = orders
    known["tables"]["CRM.ANALYTICS.DIM_CUSTOMERS"] = known["tables"]["CRM.PUBLIC.CUSTOMERS"]
    events = known["tables"]["CRM.PUBLIC.EVENTS"]
    for name in ("FCT_EVENTS", "FCT_EVENTS__DBT_TMP"):
        known["tables"][f"CRM.ANALYTICS.{name}"] = events
    known["tables"]["CRM.ANALYTICS.AUDIT"] = [
        {"name": name, "type": "VARCHAR", "tags": []} for name in ("MODEL", "RUN", "STATUS", "AT")
    ]
    return json.dumps(known).encode()


def dbt(runs: int = 24) -> Iterator[str]:
    """A project that is built every hour: incremental models, their tests, an audit table."""
    random = Random(SEED)
    for run in range(runs):
        day = f"2026-{1 + run // 28 % 12:02}-{1 + run % 28:02}"
        run_id = f"{random.getrandbits(64):016x}"
        yield "show terse schemas in database CRM limit 10000"
        yield "show objects in CRM.ANALYTICS limit 10000 ;"
        for node, text in [*_models(day), *_tests(day)]:
            yield _commented(node, text)
        yield _commented("source.crm.events", _freshness(day))
        yield (
            "insert into CRM.ANALYTICS.AUDIT (model, run, status) "
            f"select 'fct_orders', '{run_id}', 'success'"
        )


def _commented(node: str, text: str) -> str:
    about = {
        "app": "dbt",
        "dbt_version": "1.10.2",
        "profile_name": "crm",
        "target_name": "prod",
        "node_id": node,
    }
    return f"/* {json.dumps(about)} */\n{text}"


def _models(day: str) -> Iterator[tuple[str, str]]:
    columns = '"ID", "CUSTOMER_ID", "ORDER_DATE", "AMOUNT", "STATUS", "REGION"'
    values = columns.replace('"ID"', 'DBT_INTERNAL_SOURCE."ID"', 1)
    yield (
        "model.crm.fct_orders",
        f"""
    merge into CRM.ANALYTICS.FCT_ORDERS as DBT_INTERNAL_DEST
        using CRM.ANALYTICS.FCT_ORDERS__DBT_TMP as DBT_INTERNAL_SOURCE
        on (DBT_INTERNAL_SOURCE.id = DBT_INTERNAL_DEST.id)
            and DBT_INTERNAL_DEST.order_date > dateadd(day, -7, current_date)
    when matched then update set
        "STATUS" = DBT_INTERNAL_SOURCE."STATUS", "AMOUNT" = DBT_INTERNAL_SOURCE."AMOUNT"
    when not matched then insert ({columns})
    values ({values})
""",
    )
    for region in REGIONS:
        yield (
            "model.crm.stg_orders",
            f"""
    delete from CRM.ANALYTICS.STG_ORDERS
    where region = '{region}' and order_date >= '{day}'
""",
        )
        yield (
            "model.crm.stg_orders",
            f"""
    insert into CRM.ANALYTICS.STG_ORDERS ({columns})
    (
        select {columns}
        from CRM.PUBLIC.ORDERS
        where region = '{region}' and order_date >= '{day}'
    )
""",
        )
    for hour in range(6):
        low, high = f"{day} {hour:02}:00:00+00:00", f"{day} {hour + 1:02}:00:00+00:00"
        yield (
            "model.crm.fct_events",
            f"""
    delete from CRM.ANALYTICS.FCT_EVENTS DBT_INTERNAL_TARGET
    where (
        DBT_INTERNAL_TARGET.ts >= to_timestamp_tz('{low}')
        and DBT_INTERNAL_TARGET.ts < to_timestamp_tz('{high}')
    )
""",
        )
        yield (
            "model.crm.fct_events",
            f"""
    insert into CRM.ANALYTICS.FCT_EVENTS ("ID", "USER_ID", "TS", "KIND", "V")
    (
        select "ID", "USER_ID", "TS", "KIND", "V" from CRM.PUBLIC.EVENTS
        where ts >= to_timestamp_tz('{low}') and ts < to_timestamp_tz('{high}')
    )
""",
        )


def _tests(day: str) -> Iterator[tuple[str, str]]:
    models = {
        "fct_orders": ("id", "customer_id", "status"),
        "stg_orders": ("id", "order_date", "region"),
        "dim_orders": ("id", "customer_id", "amount"),
        "fct_events": ("id", "user_id", "kind"),
        "dim_customers": ("id", "country", "email"),
    }
    for model, columns in models.items():
        since = {"fct_events": "ts", "dim_customers": "signup_date"}.get(model, "order_date")
        for column in columns:
            yield (
                f"test.crm.not_null_{model}_{column}",
                _counted(
                    f"select {column} from (select * from CRM.ANALYTICS.{model}"
                    f" where {since} >= '{day}') dbt_subquery where {column} is null"
                ),
            )
        yield (
            f"test.crm.unique_{model}_id",
            _counted(
                f"""
    select id as unique_field, count(*) as n_records
    from CRM.ANALYTICS.{model}
    where id is not null
    group by id
    having count(*) > 1
"""
            ),
        )
    for model in ("fct_orders", "dim_orders"):
        allowed = ",".join(f"'{status}'" for status in STATUSES)
        yield (
            f"test.crm.accepted_values_{model}_status",
            _counted(
                f"""
    with all_values as (
        select status as value_field, count(*) as n_records
        from CRM.ANALYTICS.{model} group by status
    )
    select * from all_values where value_field not in ({allowed})
"""
            ),
        )
        yield (
            f"test.crm.recent_{model}",
            _counted(
                f"""
    select max(order_date) as last_day from CRM.ANALYTICS.{model}
    where order_date between '{day}' and '2027-12-31'
    having max(order_date) < '{day}'
"""
            ),
        )
    yield (
        "test.crm.relationships_fct_orders",
        _counted(
            """
    with child as (select customer_id as from_field from CRM.ANALYTICS.FCT_ORDERS
                   where customer_id is not null),
    parent as (select id as to_field from CRM.ANALYTICS.DIM_CUSTOMERS)
    select from_field from child left join parent on child.from_field = parent.to_field
    where parent.to_field is null
"""
        ),
    )


def _counted(test: str) -> str:
    return f"""select
      count(*) as failures,
      count(*) != 0 as should_warn,
      count(*) != 0 as should_error
    from (
{test}
    ) dbt_internal_test"""


def _freshness(day: str) -> str:
    return f"""select
      max(ts) as max_loaded_at,
      convert_timezone('UTC', current_timestamp()) as snapshotted_at
    from CRM.PUBLIC.EVENTS
    where ts >= '{day}'"""


def bi(requests: int = 4_000) -> Iterator[str]:
    """Dashboards of four tools, whose readers choose dates, regions, customers and words."""
    random = Random(SEED)
    tiles = [
        _bars,
        _line,
        _table,
        _search,
        _customer,
        _top,
        _funnel,
        _heat,
        _distinct,
        _metadata,
        _big_number,
        _basket,
    ]
    for _ in range(requests):
        yield random.choice(tiles)(random)


def _days(random: Random) -> tuple[str, str]:
    month, day = random.randint(1, 11), random.randint(1, 28)
    return f"2026-{month:02}-{day:02}", f"2026-{month + 1:02}-{day:02}"


def _some(random: Random, words: list[str]) -> str:
    chosen = random.sample(words, random.randint(1, len(words)))
    return ", ".join(f"'{word}'" for word in chosen)


def _bars(random: Random) -> str:
    low, high = _days(random)
    region = f'AND ("orders"."REGION" IN ({_some(random, REGIONS)})) ' * random.randint(0, 1)
    return (
        'SELECT "orders"."REGION" AS "REGION",\n  SUM("orders"."AMOUNT") AS "sum:AMOUNT:ok"\n'
        'FROM "PUBLIC"."ORDERS" "orders"\n'
        f'WHERE (("orders"."ORDER_DATE" >= (DATE \'{low}\')) AND '
        f'("orders"."ORDER_DATE" < (DATE \'{high}\')) {region})\n'
        "GROUP BY 1"
    )


def _line(random: Random) -> str:
    low, high = _days(random)
    unit = random.choice(["day", "week", "month"])
    return (
        f"SELECT DATE_TRUNC('{unit}', TS) AS __timestamp, COUNT(*) AS count\n"
        "FROM PUBLIC.EVENTS\n"
        f"WHERE TS >= TO_TIMESTAMP('{low}T00:00:00.000000')\n"
        f"  AND TS < TO_TIMESTAMP('{high}T00:00:00.000000')\n"
        f"  AND KIND IN ({_some(random, KINDS)})\n"
        f"GROUP BY DATE_TRUNC('{unit}', TS)\nORDER BY count DESC\n"
        f"LIMIT {random.choice([1000, 5000, 10000, 50000])}"
    )


def _table(random: Random) -> str:
    low, high = _days(random)
    return (
        'SELECT "PUBLIC"."ORDERS"."ID" AS "ID", "PUBLIC"."ORDERS"."AMOUNT" AS "AMOUNT", '
        '"Customers"."EMAIL" AS "Customers__EMAIL" '
        'FROM "PUBLIC"."ORDERS" LEFT JOIN "PUBLIC"."CUSTOMERS" AS "Customers" '
        'ON "PUBLIC"."ORDERS"."CUSTOMER_ID" = "Customers"."ID" '
        f'WHERE "PUBLIC"."ORDERS"."ORDER_DATE" BETWEEN \'{low}\'::date AND \'{high}\'::date '
        f'AND "PUBLIC"."ORDERS"."AMOUNT" > {random.randint(1, 5000)} '
        f"LIMIT 2000 -- Metabase:: userID: {random.randint(1, 90)} queryType: MBQL"
    )


def _search(random: Random) -> str:
    word = "".join(random.choices("abcdefghij", k=random.randint(2, 6)))
    return (
        'SELECT products.name AS "products.name", products.price AS "products.price"\n'
        f"FROM public.products AS products\nWHERE (products.name ILIKE '%{word}%')"
        f"{_and(random, 'products.category', CATEGORIES)}\n"
        f"ORDER BY 2 DESC\nFETCH NEXT {random.choice([500, 5000])} ROWS ONLY"
    )


def _and(random: Random, column: str, words: list[str]) -> str:
    return f" AND ({column} = '{random.choice(words)}')" * random.randint(0, 1)


def _customer(random: Random) -> str:
    number = random.randint(1, 10**6)
    return (
        "SELECT id, full_name, email, segment, country FROM customers "
        f"WHERE email = 'user{number}@example.com'"
        f"{_and(random, 'segment', ['gold', 'silver'])} LIMIT 25"
    )


def _top(random: Random) -> str:
    low, _ = _days(random)
    return (
        "with orders_in as (\n  select customer_id, sum(amount) as revenue from public.orders\n"
        f"  where order_date >= cast('{low}' as date)"
        f" and status in ({_some(random, STATUSES)})\n"
        "  group by customer_id\n)\n"
        "select c.id, c.segment, o.revenue from orders_in o join public.customers c "
        f"on c.id = o.customer_id\nwhere o.revenue >= {random.randint(10, 9999)}.5\n"
        f"qualify row_number() over (order by o.revenue desc) <= {random.choice([10, 20, 100])}"
    )


def _funnel(random: Random) -> str:
    low, high = _days(random)
    counts = ", ".join(
        f"COUNT(DISTINCT CASE WHEN kind = '{kind}' THEN user_id END) AS \"{kind}\""
        for kind in KINDS[:4]
    )
    return f"SELECT {counts} FROM events WHERE ts >= '{low}' AND ts < '{high}'"


def _heat(random: Random) -> str:
    low, _ = _days(random)
    return (
        "SELECT EXTRACT(dow FROM ts) AS d, EXTRACT(hour FROM ts) AS h, COUNT(*) AS n FROM events "
        f"WHERE user_id <> {random.randint(1, 999)} AND ts > DATEADD(day, -30, DATE '{low}') "
        "GROUP BY 1, 2"
    )


def _distinct(random: Random) -> str:
    column, table = random.choice([("region", "orders"), ("status", "orders"), ("kind", "events")])
    return f"SELECT DISTINCT {column} FROM {table} LIMIT {random.choice([100, 1001, 10001])}"


def _metadata(random: Random) -> str:
    name = random.choice(["ORDERS", "CUSTOMERS", "EVENTS", "PRODUCTS"])
    return (
        "SELECT column_name, data_type, is_nullable FROM CRM.information_schema.columns "
        f"WHERE table_schema = 'PUBLIC' AND table_name = '{name}' ORDER BY ordinal_position"
    )


def _big_number(random: Random) -> str:
    low, high = _days(random)
    return (
        "select sum(amount), count(*), avg(amount) from orders\n"
        f"where order_date >= to_date('{low}') and order_date < to_date('{high}')"
        f"{_and(random, 'region', REGIONS)}{_and(random, 'status', STATUSES)}"
    )


def _basket(random: Random) -> str:
    ids = ", ".join(str(random.randint(1, 10**6)) for _ in range(random.randint(2, 40)))
    return (
        "SELECT o.id, p.name, p.category, o.amount FROM orders o JOIN products p ON p.id = o.id "
        f"WHERE o.customer_id IN ({ids}) AND o.amount BETWEEN {random.randint(0, 99)} AND 5000"
    )


WORKLOADS: dict[str, Callable[[], Iterator[str]]] = {"dbt": dbt, "BI": bi}
