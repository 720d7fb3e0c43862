"""Every policy in the documentation is valid, and its cases hold."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from snowgate.config import load_cases, load_policy

from .cases import check, setting_of

DOCS = Path(__file__).parents[2] / "docs" / "policy"
FENCE = re.compile(r"^```yaml(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A policy of a page, and its cases."""

    page: str
    title: str
    policy: str
    cases: str


def recipes() -> list[Recipe]:
    found = []
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text()
        blocks = [
            (HEADING.findall(text[: block.start()])[-1], block[1], block[2])
            for block in FENCE.finditer(text)
            if block[1]
        ]
        for (title, kind, policy), (_, after, cases) in zip(blocks[::2], blocks[1::2], strict=True):
            assert (kind, after) == ("policy", "cases"), f"{page.name}: {title}"
            found.append(Recipe(page.name, title, policy, cases))
    return found


RECIPES = recipes()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: f"{recipe.page}: {recipe.title}")
def test_a_recipe_does_what_it_says(recipe: Recipe, tmp_path: Path) -> None:
    policy, cases = tmp_path / "policy.yaml", tmp_path / "policy.cases.yaml"
    policy.write_text(recipe.policy)
    cases.write_text(recipe.cases)
    setting = setting_of(policy)

    assert load_policy(policy).warnings == ()
    for case in load_cases(cases).cases:
        check(setting, case)


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", page.read_text()):
        other = (page.parent / target).resolve() if target else page
        assert other.exists(), target
        titles = {
            title.strip("`").lower().replace(" ", "-")
            for title in HEADING.findall(other.read_text())
        }
        assert not anchor or anchor in titles, anchor


def test_the_cookbook_has_its_recipes() -> None:
    assert sum(recipe.page == "cookbook.md" for recipe in RECIPES) >= 20
