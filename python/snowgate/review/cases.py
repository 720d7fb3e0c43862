"""Runs the cases of a policy, and tells what came out otherwise than expected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from snowgate.audit.render import visible, visible_lines
from snowgate.config import Case
from snowgate.errors import UsageError
from snowgate.model.statement import Namespace
from snowgate.policy import Subject
from snowgate.policy.readings import readings
from snowgate.review.explain import Explanation
from snowgate.review.page import page
from snowgate.review.setting import Asker, Setting
from snowgate.review.trial import Trial, try_session

CASES_SUFFIX = ".cases.yaml"
_LABEL = 12


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is otherwise than expected."""

    what: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.what}: expected {self.expected}, got {self.got}"


@dataclass(frozen=True, slots=True)
class Ran:
    """A case that was run.

    Attributes:
        case: The case.
        trial: What came of it.
        subject: Who asked.
        setting: By which policy it was judged.
    """

    case: Case
    trial: Trial
    subject: Subject
    setting: Setting

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What is otherwise than expected; empty for a case that passes."""
        expected, trial = self.case.expected, self.trial
        found: list[Difference] = []
        parts = [Trial((each,)) for each in trial.judged] if expected.each else [trial]
        other = next((each for each in parts if each.word != expected.verdict), None)
        if other is not None:
            found.append(Difference("verdict", expected.verdict, other.word))
        lacking = next((each for each in parts if not expected.rules <= set(each.rules)), None)
        if lacking is not None:
            found.append(Difference("rules", _listed(expected.rules), _listed(lacking.rules)))
        if expected.masked is not None and not _are(trial.masked, expected.masked):
            got = [name or str(at) for at, name in trial.masked]
            found.append(Difference("masked", _listed(expected.masked), _listed(got)))
        return tuple(found)

    def document(self) -> dict[str, Any]:
        """The same as JSON."""
        return {
            "name": self.case.name,
            "file": self.case.path,
            "line": self.case.line,
            "passed": not self.differences,
            "verdict": self.trial.word,
            "rules": self.trial.rules,
            "masked": [name or at for at, name in self.trial.masked],
            "differences": [
                {"what": each.what, "expected": each.expected, "got": each.got}
                for each in self.differences
            ],
            "reason": self.trial.strictest[1].reason,
        }

    def lines(self) -> Iterator[str]:
        """Why it failed, for people."""
        case = self.case
        yield visible(f"FAILED  {case.name}  {case.path}:{case.line}")
        for difference in self.differences:
            yield visible(
                f"  {difference.what:<{_LABEL}}expected {difference.expected}, got {difference.got}"
            )
        for at, sql in enumerate(case.sql):
            for number, line in enumerate(visible_lines(sql.strip())):
                label = "" if number else ("sql" if at == 0 else "then")
                yield f"  {label:<{_LABEL}}{line}".rstrip()
        yield f"  as          {visible(_asker(self.subject))}"
        yield from (f"    {line}" for line in page(self._explanation()))

    def _explanation(self) -> Explanation:
        statement, verdict = self.trial.strictest
        read = () if statement.refusal else readings(self.setting.policy, statement, self.subject)
        return Explanation(statement, self.subject, verdict, read)


def run_case(setting: Setting, case: Case) -> Ran:
    """Run one case.

    Raises:
        UsageError: Its time or address is none; the message names the case.
    """
    who = case.asker
    asker = Asker(
        who.name, who.groups, who.role, who.client, who.source, case.at, who.issuer, who.subject
    )
    try:
        subject = asker.subject_in(setting)
    except UsageError as error:
        raise UsageError(f"{case.path}:{case.line}: case `{case.name}`: {error}") from None
    catalog = setting.catalog
    here = Namespace(case.database or catalog.database, case.schema or catalog.schema)
    return Ran(case, try_session(setting, case.sql, subject, here), subject, setting)


def cases_beside(policy: Path) -> list[Path]:
    """The cases of a policy: in the file that is called after it, else in all of its folder.

    Raises:
        UsageError: There is none.
    """
    own = policy.with_name(policy.stem + CASES_SUFFIX)
    if own.is_file():
        return [own]
    found = sorted(policy.absolute().parent.glob(f"*{CASES_SUFFIX}"))
    if not found:
        raise UsageError(
            f"no cases beside `{policy}`: name their files, or call one"
            f" `{policy.stem}{CASES_SUFFIX}`"
        )
    return found


def junit(ran: Iterable[Ran]) -> bytes:
    """The results in the XML that CI systems read."""
    results = list(ran)
    failed = sum(bool(each.differences) for each in results)
    suite = ElementTree.Element(
        "testsuite", name="snowgate test", tests=str(len(results)), failures=str(failed)
    )
    for each in results:
        case = ElementTree.SubElement(
            suite, "testcase", classname=visible(each.case.path), name=visible(each.case.name)
        )
        if each.differences:
            told = "; ".join(
                f"{d.what}: expected {d.expected}, got {d.got}" for d in each.differences
            )
            failure = ElementTree.SubElement(case, "failure", message=visible(told))
            failure.text = "\n".join(each.lines())
    text: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return text


def _are(found: list[tuple[int, str | None]], wanted: frozenset[str | int]) -> bool:
    """Whether exactly these columns are masked, each named or counted."""
    left = set(wanted)
    for at, name in found:
        if at not in wanted and name not in wanted:
            return False
        left -= {at, name}
    return not left


def _listed(words: Iterable[str | int]) -> str:
    return ", ".join(sorted(map(str, words))) or "none"


def _asker(subject: Subject) -> str:
    groups = ", ".join(sorted(subject.groups)) or "no groups"
    return f"{subject.principal.name}, {groups}, role {subject.role}"
