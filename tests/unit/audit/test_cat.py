import io
import json

from snowgate.audit import write_entries

from .conftest import Book, write_session


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_each_entry_is_one_line_that_begins_with_number_time_and_kind(book: Book) -> None:
    write_session(book)
    book.close()
    out = io.StringIO()

    written = write_entries(book.directory, out)

    assert written == 14
    for number, entry in enumerate(lines(out)):
        assert list(entry)[:3] == ["seq", "time", "kind"]
        assert entry["seq"] == number


def test_texts_are_shown_only_with_keys(book: Book) -> None:
    write_session(book)
    book.close()
    without, with_keys = io.StringIO(), io.StringIO()

    write_entries(book.directory, without, kinds={"denial"})
    write_entries(book.directory, with_keys, kinds={"denial"}, keys=book.keys)

    assert "COPY INTO" not in without.getvalue()
    (denial,) = lines(with_keys)
    sql = denial["sql"]
    assert isinstance(sql, dict)
    assert sql["text"] == "COPY INTO @x FROM t"


def test_a_listing_can_begin_anywhere(book: Book) -> None:
    write_session(book)
    book.close()
    out = io.StringIO()

    write_entries(book.directory, out, start=12)

    assert [entry["kind"] for entry in lines(out)] == ["denial", "session_end"]
