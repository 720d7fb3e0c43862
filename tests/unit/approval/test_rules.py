"""Votes are counted again when a statement is released, whatever the store says of it (F7, F15)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from snowgate.approval.rules import unsound
from snowgate.model.approval import Approval, ApprovalState, HeldStatement, Vote

Approved = Callable[..., Approval]
BOB = Vote("bob", "Bob", True, "", 50.0, "https://people", "id-bob", ("data-platform",), 7)
CAROL = replace(BOB, person="carol", name="Carol", subject="id-carol", entry=8)


@pytest.fixture
def approved(statement: HeldStatement) -> Approved:
    def make(*votes: Vote, quorum: int = 1) -> Approval:
        held = replace(statement, quorum=quorum)
        return Approval("a1", held, ApprovalState.APPROVED, 0.0, 100.0, votes)

    return make


def test_votes_that_could_be_cast_release(approved: Approved) -> None:
    assert unsound(approved(BOB)) is None
    assert unsound(approved(BOB, CAROL, quorum=2)) is None


@pytest.mark.parametrize(("votes", "quorum"), [((), 1), ((), 0), ((BOB,), 2), ((BOB,), 0)])
def test_fewer_votes_than_the_quorum_do_not(
    approved: Approved, votes: tuple[Vote, ...], quorum: int
) -> None:
    assert unsound(approved(*votes, quorum=quorum)) == "it has fewer votes than its quorum"


def test_two_votes_of_one_person_do_not(approved: Approved) -> None:
    again = replace(BOB, person="BOB", issuer="https://other-people", subject="other", entry=8)
    assert unsound(approved(BOB, again, quorum=2)) == "one person has two votes"


@pytest.mark.parametrize(
    "change",
    [
        {"approve": False},
        {"groups": ("etl-writers",)},
        {"groups": ()},
        {"issuer": "https://ci", "subject": "repo-1"},
        {"person": "Alice"},
        {"at_s": 100.0},
    ],
)
def test_a_vote_that_could_not_be_cast_does_not(approved: Approved, change: dict[str, Any]) -> None:
    assert unsound(approved(CAROL, replace(BOB, **change), quorum=2)) == "a vote does not count"


def test_the_vote_of_nobody_does_not(approved: Approved) -> None:
    assert unsound(approved(replace(BOB, person=""))) is not None
    assert unsound(approved(CAROL, replace(BOB, person=""), quorum=2)) is not None
