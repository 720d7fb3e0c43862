"""The copy of the catalog that tools read."""

from pathlib import Path

from snowgate.control.current import Current
from snowgate.control.snapshots import CatalogCopy
from snowgate.model.statement import ObjectName
from snowgate.policy.rules import compile_policy
from snowgate.sql.catalog import Catalog, CatalogColumn, Table

ODD = Catalog.of(
    {
        ObjectName("CRM", "PUBLIC", "T"): Table(
            (
                CatalogColumn("A", "NUMBER(38,0)", frozenset({"pii", "phi"})),
                CatalogColumn("b c", derived=True, unknown=True),
            )
        ),
        ObjectName("a.b", 'c"d', "e"): Table((CatalogColumn("\u202e\ud800"),), opaque=True),
        ObjectName('"', "", "..x"): Table(()),
    },
    {ObjectName("CRM", "PUBLIC", "V"): "SELECT 'x' FROM t"},
    "CRM",
    "PUBLIC",
)


def test_a_catalog_is_read_as_it_was_written() -> None:
    assert Catalog.from_json(ODD.to_json()) == ODD
    assert Catalog.from_json(ODD.to_json()).digest == ODD.digest


async def test_the_file_follows_the_catalog_in_force(tmp_path: Path) -> None:
    path = tmp_path / "catalog.json"
    current = Current(compile_policy((), ()))
    copy = CatalogCopy(current, path)
    await copy.save()
    assert not path.exists()

    current.replace_catalog(ODD)
    await copy.save()
    assert Catalog.from_json(path.read_bytes()) == ODD
    assert path.stat().st_mode & 0o077 == 0

    current.replace_catalog(None)
    await copy.save()
    assert Catalog.from_json(path.read_bytes()) == ODD


async def test_a_disk_that_takes_nothing_stops_nothing(tmp_path: Path) -> None:
    current = Current(compile_policy((), ()))
    current.replace_catalog(ODD)

    await CatalogCopy(current, tmp_path / "gone" / "catalog.json").save()
