"""The catalog as a value, and how it is read."""

import json
from collections.abc import Sequence

import pytest

from snowgate.errors import UpstreamError
from snowgate.model.statement import (
    Namespace,
    ObjectName,
    OutputColumn,
    Statement,
    StatementClass,
)
from snowgate.policy.pattern import parse_pattern
from snowgate.sql.analysis import analyse
from snowgate.sql.catalog import Catalog, CatalogColumn, Table, family_of_type
from snowgate.sql.catalog_reader import read_catalog, read_objects
from snowgate.sql.values import Family

PUBLIC = Namespace("CRM", "PUBLIC")
T = ObjectName("CRM", "PUBLIC", "T")


class Reader:
    """Answers by the view a statement reads."""

    def __init__(self, **rows: list[list[str | None]]) -> None:
        self.rows = rows
        self.asked: list[str] = []

    async def query(self, sql: str, purpose: str) -> Sequence[Sequence[str | None]]:
        assert purpose == "catalog"
        self.asked.append(sql)
        return next(
            rows for view, rows in self.rows.items() if f"INFORMATION_SCHEMA.{view} " in sql
        )


async def test_tables_views_and_types_are_read() -> None:
    reader = Reader(
        COLUMNS=[
            ["PUBLIC", "T", "ID", "NUMBER"],
            ["PUBLIC", "T", "EMAIL", "TEXT"],
            ["PUBLIC", "V", "E", "TEXT"],
        ],
        TABLES=[["PUBLIC", "T", "BASE TABLE", "NO"], ["PUBLIC", "V", "VIEW", "NO"]],
        VIEWS=[["PUBLIC", "V", "CREATE VIEW v AS SELECT email AS e FROM t;"]],
    )

    catalog = await read_catalog(reader, ["CRM"])

    assert catalog.tables[T].columns == (
        CatalogColumn("ID", "NUMBER"),
        CatalogColumn("EMAIL", "TEXT"),
    )
    tagged = catalog.with_tags([("pii", parse_pattern("CRM.PUBLIC.T.EMAIL", 4, "")[0])])
    assert analyse("SELECT e FROM v", PUBLIC, tagged).columns == (
        OutputColumn("E", frozenset({"pii"}), raw=True),
    )
    assert '"CRM".INFORMATION_SCHEMA' in reader.asked[0]


@pytest.mark.parametrize(
    ("kind", "dynamic", "text"),
    [("VIEW", "NO", None), ("MATERIALIZED VIEW", "NO", ""), ("BASE TABLE", "YES", "")],
)
async def test_what_shows_rows_of_something_unknown_is_unknown(
    kind: str, dynamic: str, text: str | None
) -> None:
    reader = Reader(
        COLUMNS=[["PUBLIC", "V", "E", "TEXT"]],
        TABLES=[["PUBLIC", "V", kind, dynamic]],
        VIEWS=[["PUBLIC", "V", text]],
    )

    catalog = await read_catalog(reader, ["CRM"])

    assert analyse("SELECT e FROM v", PUBLIC, catalog).columns == (OutputColumn("E", unknown=True),)


async def test_names_of_databases_are_quoted() -> None:
    reader = Reader(COLUMNS=[], TABLES=[], VIEWS=[])

    await read_catalog(reader, ['A"; DROP'])

    assert all('FROM "A""; DROP".INFORMATION_SCHEMA.' in sql for sql in reader.asked)


async def test_some_objects_are_read_by_their_exact_names() -> None:
    odd = ObjectName("CRM", "it's", "a\\b")
    reader = Reader(COLUMNS=[["PUBLIC", "T", "ID", "NUMBER"]], TABLES=[], VIEWS=[])

    found = await read_objects(reader, {T, odd, ObjectName("CRM", "PUBLIC", "GONE")})

    assert found.tables.keys() == {T}
    asked = (
        "WHERE (TABLE_SCHEMA = 'PUBLIC' AND TABLE_NAME IN ('GONE', 'T'))"
        r" OR (TABLE_SCHEMA = 'it''s' AND TABLE_NAME IN ('a\\b')) ORDER BY"
    )
    assert len(reader.asked) == 3
    assert all(asked in sql for sql in reader.asked)


async def test_rows_of_another_form_are_an_error() -> None:
    with pytest.raises(UpstreamError):
        await read_catalog(Reader(COLUMNS=[["a"]], TABLES=[], VIEWS=[]), ["CRM"])


def test_a_pattern_adds_tags_and_takes_none() -> None:
    catalog = Catalog.from_json(
        '{"tables": {"CRM.PUBLIC.T": [{"name": "A", "tags": ["x"]}, {"name": "B"}]}}'
    )

    tagged = catalog.with_tags([("pii", parse_pattern("*.*.T.*", 4, "")[0])])

    assert [sorted(column.tags) for column in tagged.tables[T].columns] == [["pii", "x"], ["pii"]]
    assert [sorted(column.tags) for column in catalog.tables[T].columns] == [["x"], []]


def test_equal_catalogs_have_one_digest_and_others_another() -> None:
    text = '{"tables": {"A.B.C": [{"name": "X"}]}, "views": {"A.B.V": "SELECT 1"}}'
    one, two = Catalog.from_json(text), Catalog.from_json(text)

    assert one.digest == two.digest
    assert one.digest != one.with_tags([("t", parse_pattern("A.B.C.X", 4, "")[0])]).digest
    assert one.digest != one.replacing({}, {ObjectName("A", "B", "V"): "SELECT 2"}).digest


@pytest.mark.parametrize(
    "key", ['DB.My Schema."Visit.Log"', '"DB"."My Schema"."Visit.Log"', "DB.My Schema.Visit.Log"]
)
def test_a_key_may_hold_a_name_with_a_dot(key: str) -> None:
    catalog = Catalog.from_json(json.dumps({"tables": {key: [{"name": "a.b", "tags": ["pii"]}]}}))

    table = catalog.tables[ObjectName("DB", "My Schema", "Visit.Log")]
    assert [(column.name, column.tags) for column in table.columns] == [("a.b", {"pii"})]


def test_names_with_dots_are_read_as_they_were_written() -> None:
    name = ObjectName("D.B", 'S"', "T")
    catalog = Catalog.of({name: Table((CatalogColumn("A"),))})

    assert Catalog.from_json(catalog.to_json()).tables == catalog.tables


def test_parts_of_a_document_may_be_missing_or_null() -> None:
    text = '{"tables": {"A.B.C": [{"name": "X", "tags": null, "type": null}]}, "views": null}'
    catalog = Catalog.from_json(text)

    assert catalog.tables[ObjectName("A", "B", "C")].columns == (CatalogColumn("X"),)
    assert (catalog.database, catalog.views) == ("", {})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"tables": {"A.B.C": ["X"]}}', "`A.B.C` has a column of another form"),
        ('{"tables": {"A.B.C": [{"name": "X", "tags": "pii"}]}}', "`A.B.C` has a column"),
        ('{"tables": {"A.B.C.D": [], "A.B.\\"C.D\\"": []}}', "under another key"),
        ('{"views": {"A.B.C.D.E.F.G": ""}}', "no name of the form"),
    ],
)
def test_a_mistake_in_a_document_is_named(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Catalog.from_json(text)


@pytest.mark.parametrize("text", ["[]", '{"tables": {"A.B": []}}', '{"tables": {"A.B.C": [{}]}}'])
def test_a_document_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="form"):
        Catalog.from_json(text)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("VARCHAR(20)", Family.TEXT),
        ("NUMBER(38,0)", Family.NUMBER),
        ("TIMESTAMP_NTZ(9)", Family.TIME),
        ("OBJECT(a INT)", Family.VARIANT),
        ("GEOGRAPHY", Family.ANY),
        ("", Family.ANY),
    ],
)
def test_types_belong_to_families(name: str, family: Family) -> None:
    assert family_of_type(name) is family


async def test_the_account_says_which_columns_its_metadata_views_have() -> None:
    reader = Reader(
        COLUMNS=[
            ["INFORMATION_SCHEMA", "SECRETS_OF_ALL", "TEXT", "TEXT"],
            ["INFORMATION_SCHEMA", "VIEWS", "TABLE_NAME", "TEXT"],
            ["INFORMATION_SCHEMA", "VIEWS", "VIEW_DEFINITION", "TEXT"],
            ["INFORMATION_SCHEMA", "VIEWS", "NEW_IN_2027", "TEXT"],
            ["PUBLIC", "T", "ID", "NUMBER"],
        ],
        TABLES=[["PUBLIC", "T", "BASE TABLE", "NO"]],
        VIEWS=[],
    )

    catalog = await read_catalog(reader, ["CRM"])

    def see(sql: str) -> Statement:
        return analyse(sql, PUBLIC, catalog)

    text = frozenset({"sql-text"})
    assert see("SELECT * FROM information_schema.views").columns == (
        OutputColumn("TABLE_NAME"),
        OutputColumn("VIEW_DEFINITION", text, raw=True),
        OutputColumn("NEW_IN_2027", text, raw=True),
    )
    listed = see("SELECT * FROM information_schema.secrets_of_all")
    assert listed.kind is StatementClass.ACCOUNT_METADATA
