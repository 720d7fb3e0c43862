"""Who is next: principals in turn (F27)."""

from snowgate.control.turns import Turns


def drained(turns: Turns[str], workers: int = 1) -> list[str]:
    """Everything that waits, in the order in which so many workers would take it."""
    taken: list[str] = []
    while batch := [one for one in (turns.take() for _ in range(workers)) if one]:
        for principal, item in batch:
            taken.append(item)
            turns.done(principal)
    return taken


def test_items_of_one_principal_keep_their_order() -> None:
    turns = Turns[str](5)
    for item in ("a1", "a2", "a3"):
        turns.put("a", item)

    assert drained(turns) == ["a1", "a2", "a3"]


def test_principals_take_turns_however_many_items_one_of_them_has() -> None:
    turns = Turns[str](10)
    for at in range(5):
        turns.put("flood", f"f{at}")
    turns.put("a", "a0")
    turns.put("b", "b0")

    assert drained(turns) == ["f0", "a0", "b0", "f1", "f2", "f3", "f4"]


def test_a_principal_has_one_item_under_way_and_no_more() -> None:
    turns = Turns[str](10)
    turns.put("a", "a0")
    turns.put("a", "a1")

    assert turns.take() == ("a", "a0")
    assert turns.take() is None
    turns.done("a")
    assert turns.take() == ("a", "a1")


def test_a_full_line_takes_nothing_more_and_other_lines_do() -> None:
    turns = Turns[str](2)

    accepted = [turns.put("flood", f"f{at}") for at in range(5)]

    # One that is about to be taken, and two that wait.
    assert accepted == [True, True, True, False, False]
    assert turns.put("a", "a0")
    turns.take()
    assert not turns.put("flood", "f5")
    turns.done("flood")
    assert turns.put("flood", "f6")


def test_a_withdrawn_item_is_never_taken() -> None:
    turns = Turns[str](5)
    turns.put("a", "a0")
    turns.put("a", "a1")

    assert turns.withdraw("a", "a0")
    assert not turns.withdraw("a", "a0")
    assert not turns.withdraw("b", "b0")
    assert drained(turns) == ["a1"]


def test_a_principal_whose_only_item_is_withdrawn_loses_its_turn() -> None:
    turns = Turns[str](5)
    turns.put("a", "a0")
    turns.put("b", "b0")
    turns.withdraw("a", "a0")
    turns.put("a", "a1")

    assert drained(turns) == ["b0", "a1"]


def test_what_is_under_way_cannot_be_withdrawn_and_leaves_nothing_behind() -> None:
    turns = Turns[str](5)
    turns.put("a", "a0")
    turns.take()

    assert not turns.withdraw("a", "a0")
    turns.done("a")
    turns.put("a", "a1")
    assert drained(turns) == ["a1"]
