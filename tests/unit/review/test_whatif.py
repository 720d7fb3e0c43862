"""`snowgate what-if`: the past, judged by another policy."""

import json
import shutil
from typing import Any

import pytest

from snowgate.review.placeholders import without_values

from .command import snowgate
from .conftest import Past


def what_if(past: Past, *options: object, old: str = "", new: str = "") -> dict[str, Any]:
    answer = snowgate("what-if", past.policy(old, new), "--config", past.config, "--json", *options)
    assert answer.returncode == 0, answer.stderr
    document: dict[str, Any] = json.loads(answer.stdout)
    return document


EMAIL = [{"name": "EMAIL", "mask": "redact", "tags": ["pii"]}]


def test_the_same_policy_changes_nothing(past: Past) -> None:
    past.login("ana", "analysts", "ANALYST")
    past.ran("ana", "SELECT email FROM customers", masks=EMAIL)
    past.denied("ana", "SELECT id FROM customers ORDER BY email", "select")
    past.held("ana", "DROP TABLE orders")

    document = what_if(past)

    assert (document["judged"], document["changed"], document["elsewhere"]) == (3, 0, 0)
    assert document["policy"] == document["present"]


def test_every_verdict_that_changes_is_told_by_form_and_principal(past: Past) -> None:
    past.login("ana", "analysts", "ANALYST")
    past.login("eve", "analysts", "ANALYST")
    for number in range(3):
        past.ran("ana", f"SELECT id FROM orders WHERE id IN ({number}, 7) -- {number}")
    past.ran("eve", "SELECT id FROM orders WHERE id IN (1)")
    past.ran("eve", "SELECT id FROM products")

    document = what_if(
        past,
        old="rules:\n",
        new="rules:\n  - {name: no-orders, match: {class: select, object: CRM.*.ORDERS},"
        " deny: not yours}\n",
    )

    assert (document["judged"], document["changed"]) == (5, 4)
    first, second = document["changes"]
    assert (first["was"]["verdict"], first["would"]["verdict"]) == ("allow", "deny")
    assert (first["principal"], first["count"]) == ("ana", 3)
    assert first["template"] == "SELECT ID FROM ORDERS WHERE ID IN (?)"
    assert first["rules"] == ["no-orders"]
    assert first["references"] == ["ref-0", "ref-1", "ref-2"]
    assert (second["principal"], second["count"]) == ("eve", 1)


def test_other_masks_and_other_terms_are_changes(past: Past) -> None:
    past.login("ana", "analysts", "ANALYST")
    past.ran(
        "ana", "SELECT id, email FROM customers", masks=[{"name": "ID", "mask": "pass"}, *EMAIL]
    )
    past.held("ana", "DROP TABLE orders")

    masks = what_if(past, old="mask: redact", new="mask: {partial: [0, 2]}")
    terms = what_if(
        past,
        old="    hold: {approvers: data-platform, expires: 4h}\n\n  - name: no-ex",
        new="    hold: {approvers: data-platform, quorum: 2}\n\n  - name: no-ex",
    )

    [change] = masks["changes"]
    assert change["was"] == {"verdict": "mask", "detail": ["EMAIL redact"]}
    assert change["would"] == {"verdict": "mask", "detail": ["EMAIL partial [0, 2]"]}
    [change] = terms["changes"]
    assert change["was"]["detail"] == ["1 of data-platform"]
    assert change["would"]["detail"] == ["2 of data-platform"]


def test_what_an_approval_would_show_is_a_change(past: Past) -> None:
    past.login("ana", "analysts", "ANALYST")
    past.held("ana", "SELECT email FROM customers")
    ask = "{name: glass, match: {class: select}, hold: {approvers: data-platform, unmask: pii}}"

    document = what_if(past, old="rules:\n", new=f"rules:\n  - {ask}\n")

    [change] = document["changes"]
    assert change["would"]["detail"] == ["1 of data-platform", "shows pii in clear"]
    assert "shows `pii` in clear" in change["reason"]


def test_a_tag_that_goes_shows_what_becomes_clear(past: Past) -> None:
    past.login("ana", "analysts", "ANALYST")
    past.ran("ana", "SELECT email FROM customers", masks=EMAIL)
    past.denied(
        "ana", "SELECT id FROM customers ORDER BY email", "select", database="CRM", schema="PUBLIC"
    )

    document = what_if(past, old="{FULL_NAME,EMAIL,PHONE,SSN,CARD_NUMBER}", new="SSN")

    changes = {each["was"]["verdict"]: each["would"]["verdict"] for each in document["changes"]}
    assert changes == {"mask": "allow", "deny": "allow"}


def test_groups_role_client_source_and_time_are_those_of_then(past: Past) -> None:
    past.login("ana", "analysts", "ANALYST")
    past.login("eve", "fraud-team", "FRAUD", client="dbt 1.10", source="198.51.100.1")
    past.ran("ana", "SELECT 1")
    past.ran("eve", "SELECT 1")

    for key in ("group: fraud-team", "role: fraud", "client: dbt", "source: 198.51.100.0/24"):
        document = what_if(
            past,
            old="rules:\n",
            new=f"rules:\n  - {{name: no, match: {{class: select, {key}}}, deny: no}}\n",
        )
        assert [each["principal"] for each in document["changes"]] == ["eve"], key
    document = what_if(
        past,
        old="rules:\n",
        new="rules:\n  - {name: no, match: {class: select, hours: [00:00-24:00]}, deny: no}\n",
    )
    assert document["changed"] == 2


def test_what_the_present_policy_judges_otherwise_too_is_only_counted(past: Past) -> None:
    past.login("ana", "analysts", "ANALYST")
    past.ran("ana", "SELECT * FROM gone")
    past.ran("ana", "SELECT email FROM customers")

    document = what_if(past)

    assert (document["judged"], document["changed"], document["elsewhere"]) == (2, 0, 2)


def test_an_approved_statement_is_one_and_the_gateways_own_are_none(past: Past) -> None:
    past.login("ana", "analysts", "ANALYST")
    past.held("ana", "DROP TABLE orders")
    past.ran("ana", "DROP TABLE orders", "drop", decision="hold")
    past.ran("gateway", "SELECT 1", "gateway", via="gateway")
    past.denied("ana", "SELECT 1; SELECT 2", None, rules=["one-statement"])
    past.denied("ana", "SELECT 3", "unknown", rules=["busy"])
    past.write("denial", session=None, rules=["unknown-endpoint"], path="/x")

    document = what_if(past)

    assert document["judged"] == 1
    assert document["not_judged"]["not_of_the_policy"] == 2


def test_destroyed_texts_and_sessions_without_login_are_counted(past: Past) -> None:
    past.ran("nobody", "SELECT 1")
    past.login("ana", "analysts", "ANALYST")
    past.ran("ana", "SELECT 1")
    shutil.rmtree(past.root / "data" / "text-keys")

    answer = snowgate("what-if", past.policy(), "--config", past.config)

    assert answer.stdout.splitlines() == [
        "0 statements judged, 0 would change",
        "",
        "1 not judged: the text's key has been destroyed",
        "1 not judged: the ledger has no login of the session",
    ]


def test_only_what_is_recent_enough_is_judged(past: Past) -> None:
    past.login("ana", "analysts", "ANALYST")
    past.ran("ana", "SELECT 1")

    assert what_if(past, "--since", "1d")["judged"] == 1
    assert what_if(past, "--since", "2999-01-01")["judged"] == 0


def test_no_value_and_no_acting_character_is_shown(past: Past) -> None:
    past.login("ana", "analysts", "ANALYST", principal="ana\x1b[2J\u202e")
    past.ran(
        "ana",
        "SELECT 'canary-1', $$canary-2$$, 4242 AS a FROM orders -- canary-3\n"
        "/* canary-4 */ WHERE status = 'canary-5'",
    )
    policy = past.policy("rules:\n", "rules:\n  - {name: no, match: {class: select}, deny: no}\n")

    for options in ([], ["--json"]):
        answer = snowgate("what-if", policy, "--config", past.config, *options)
        assert "SELECT ? AS" in answer.stdout
        for word in ("canary", "4242", "\x1b", "\u202e"):
            assert word not in answer.stdout, word


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("select 1", "SELECT ?"),
        (
            "select a from t where x in (1, 2,3) and y = 'a'",
            "SELECT A FROM T WHERE X IN (?) AND Y = ?",
        ),
        ("insert into t values (1,'a'),\n(2,'b')", "INSERT INTO T VALUES (?)"),
        ("SELECT 'it''s', -1.5e3", "SELECT ?, - ?"),
        ("CALL p($$x$$)", "CALL P (?)"),
        ("SELECT 'open", "(a text of 12 bytes that has no one reading)"),
    ],
)
def test_a_form_has_no_values(text: str, shown: str) -> None:
    assert without_values(text) == shown


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--since", "soon"], "write how far back"),
        (["--catalog", "none.json"], "none.json: cannot be read"),
    ],
)
def test_wrong_options_are_one_line(past: Past, options: list[str], says: str) -> None:
    answer = snowgate("what-if", past.policy(), "--config", past.config, *options)

    assert answer.returncode == 2
    assert says in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_a_wrong_policy_is_told_with_its_line(past: Past) -> None:
    answer = snowgate(
        "what-if", past.policy("mask: redact", "mask: redacted"), "--config", past.config
    )

    assert answer.returncode == 2
    assert "other.yaml:15: rules[0].mask" in answer.stderr
