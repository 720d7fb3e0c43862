import io
import re

import pytest

from snowgate.audit import read_vkey, verify_ledger, write_report
from snowgate.errors import LedgerError

from .conftest import Book, write_session


def test_a_ledger_verifies_and_tells_what_it_holds(book: Book) -> None:
    write_session(book)
    book.close()

    report = verify_ledger(book.directory, book.vkey)

    assert (report.origin, report.size, report.published) == ("snowgate/gw-1", 14, 14)
    assert report.kinds["approval"] == 4
    assert (report.texts, report.open_intents, report.uncommitted_bytes) == (5, 1, 0)


def test_a_running_ledger_verifies(book: Book) -> None:
    book.write("heartbeat")

    assert verify_ledger(book.directory, book.vkey).size == 1
    book.close()


def test_a_changed_byte_is_named_with_its_entry(book: Book) -> None:
    write_session(book)
    book.close()
    content = bytearray(book.segment.read_bytes())
    content[content.index(b'"verdict":"allow"') + 11] ^= 1
    book.segment.write_bytes(content)

    with pytest.raises(
        LedgerError, match=r"^entry 1 \(segments/0+\.seg, offset \d+\): crc mismatch$"
    ):
        verify_ledger(book.directory, book.vkey)


def test_a_shorter_ledger_does_not_extend_an_older_checkpoint(book: Book) -> None:
    book.write("heartbeat")
    saved = {path: path.read_bytes() for path in book.directory.rglob("*") if path.is_file()}
    book.write("heartbeat")
    book.close()
    older = verify_ledger(book.directory, book.vkey).checkpoint.encode()
    assert verify_ledger(book.directory, book.vkey, older).size == 2
    book.segment.write_bytes(saved[book.segment])

    with pytest.raises(LedgerError):
        verify_ledger(book.directory, book.vkey, older)


def test_a_wrong_key_is_refused(book: Book) -> None:
    book.close()

    with pytest.raises(LedgerError, match="verifier key is malformed"):
        verify_ledger(book.directory, "snowgate/gw-1+00000000+AAAA")


def test_a_missing_key_file_is_named(book: Book) -> None:
    book.close()

    with pytest.raises(LedgerError, match=re.escape("absent.pub")):
        read_vkey(book.root / "absent.pub")


def test_a_hostile_file_name_cannot_act_on_the_terminal(book: Book) -> None:
    book.close()
    (book.directory / "x\x1b[2J\u202e").touch()

    with pytest.raises(LedgerError, match=r"^x<U\+001B>\[2J<U\+202E>: unexpected file$"):
        verify_ledger(book.directory, book.vkey)


def test_the_report_reads_as_lines(book: Book) -> None:
    write_session(book)
    book.close()
    out = io.StringIO()

    write_report(verify_ledger(book.directory, book.vkey), out)

    lines = out.getvalue().splitlines()
    assert lines[0] == "ledger snowgate/gw-1 verifies"
    assert lines[1].startswith("entries      14 (4 approval, 1 denial, ")
    assert "open         1 statements have no outcome yet" in lines
