"""The Rust half of the gateway. `make lint` checks this stub against the compiled module."""

from collections.abc import Sequence
from os import PathLike
from typing import final

__all__ = [
    "Bridge",
    "Classified",
    "Gate",
    "GateError",
    "LedgerEntry",
    "LedgerFailure",
    "LedgerReader",
    "LedgerReport",
    "LedgerWriter",
    "MaskError",
    "SqlError",
    "StatementHead",
    "TextDestroyed",
    "TextKeys",
    "classify",
    "lex",
    "log_to_stderr",
    "mask_arrow_stream",
    "mask_json_rowset",
    "object_kinds",
    "prove_entry",
    "prove_extension",
    "string_value",
    "template",
    "verify_ledger",
]

@final
class Bridge:
    """Questions from the gate to the control plane, and the answers back.

    Args:
        capacity: Questions that may be open at once; beyond it the gate refuses, it never queues.

    Raises:
        OSError: No descriptor is left for the wake-up.
    """

    def __new__(cls, capacity: int = 16384) -> Bridge: ...
    def wake_fd(self) -> int:
        """Descriptor that is readable while questions wait. It stays owned by the bridge."""

    def take(self, limit: int) -> list[tuple[int, str, bytes]]:
        """Take at most `limit` waiting questions, oldest first, as (id, kind, payload).

        Id 0 is a notice and takes no answer. Kind `cancel` holds the id of a withdrawn question as
        eight little-endian bytes; every other payload is JSON.
        """

    def answer(self, answers: Sequence[tuple[int, bytes]]) -> None:
        """Answer a batch of (id, payload). Withdrawn and unknown ids are dropped."""

    def stop(self) -> None:
        """Refuse every question from now on and wake all askers with an error."""

    def open_questions(self) -> int:
        """Questions that wait for an answer."""

    def measure(self, total: int, in_flight: int, size_bytes: int) -> tuple[float, list[float]]:
        """Ask `total` questions of `size_bytes`, `in_flight` at a time, from a runtime of its own.

        The interpreter is released; somebody else must `take` and `answer` meanwhile.

        Returns:
            Wall time in seconds, and the sorted latencies in microseconds of what was answered.
        """

class GateError(Exception):
    """The gate could not start. Nothing listens; the message says why."""

@final
class Gate:
    """A running data plane: listeners, upstream, ledger.

    Every method returns at once and may be called from any thread. Results come back over the
    bridge as `done` notices, `{"call": n, "ok": ...}` or `{"call": n, "error": {code, message}}`.

    Args:
        config: The gate's JSON document (`rust/gate/src/config.rs`).
        bridge: Where it asks its questions.

    Raises:
        GateError: A port is in use, a file cannot be used, or the ledger does not fit.
    """

    def __new__(cls, config: bytes, bridge: Bridge) -> Gate: ...
    def local_addr(self) -> tuple[str, int]:
        """Bound address and port."""

    def wake(self, query_id: str) -> None:
        """A held statement was decided: its waiter asks `consume` now."""

    def set_epoch(self, epoch: int) -> None:
        """Policy or catalog changed: verdicts of other epochs end."""

    def query(self, call: int, request: bytes) -> None:
        """Run one of the gateway's own statements, `{"sql", "purpose"}`."""

    def record(self, call: int, entry: bytes) -> None:
        """Append one ledger entry, `{"kind", "fields", "texts"?}`."""

    def kill(self, session: str) -> None:
        """End a session: holds cancelled, statements aborted, streams stopped."""

    def reload_certificate(self) -> None:
        """Read certificate and key again, and use them for new connections.

        Raises:
            GateError: They cannot be used; the ones in use stay.
        """

    def shutdown(self, grace_s: float) -> None:
        """Stop accepting, let answers end within `grace_s`, close the ledger, notify `stopped`."""

    def status(self) -> str:
        """Counters and states as JSON."""

class SqlError(ValueError):
    """A text that has no reading, or more than one. `args` are reason and remedy."""

@final
class StatementHead:
    """What the first words of a statement say (`rust/sql`). Never made in Python.

    Attributes:
        kind: Its class, a word of `StatementClass`.
        verb: Its first word, upper-case.
        object_kind: The kind of object it names, upper-case; empty if none.
        target: Parts of the object's name as stored; an empty part for `db..name`.
        text: The statement without its `;`.
        rest: What follows the object's name; all of `text` without one.
        replace: `OR REPLACE`.
        temporary: The object ends with the session.
        stage, variable, bind: It has tokens of that kind.
        read_only: Running it twice changes nothing.
        barrier: It may change what later statements of the session mean.
        inner: The statement inside EXPLAIN or a constant EXECUTE IMMEDIATE.
        calls: Names before brackets as (name, qualified): function calls, as far as a lexer can
            tell.
        refusal: Rule, reason and remedy when it can never be forwarded.
    """

    @property
    def kind(self) -> str: ...
    @property
    def verb(self) -> str: ...
    @property
    def object_kind(self) -> str: ...
    @property
    def target(self) -> list[str]: ...
    @property
    def text(self) -> str: ...
    @property
    def rest(self) -> str: ...
    @property
    def replace(self) -> bool: ...
    @property
    def temporary(self) -> bool: ...
    @property
    def stage(self) -> bool: ...
    @property
    def variable(self) -> bool: ...
    @property
    def bind(self) -> bool: ...
    @property
    def read_only(self) -> bool: ...
    @property
    def barrier(self) -> bool: ...
    @property
    def inner(self) -> str | None: ...
    @property
    def calls(self) -> list[tuple[str, bool]]: ...
    @property
    def refusal(self) -> tuple[str, str, str] | None: ...

@final
class Classified:
    """The statements of a text. Never made in Python.

    Attributes:
        statements: One head per statement, in order; empty ones are left out.
        refusal: The first refusal, also that of a text with no statement or with several.
    """

    @property
    def statements(self) -> list[StatementHead]: ...
    @property
    def refusal(self) -> tuple[str, str, str] | None: ...

def classify(text: str) -> Classified:
    """Classify every statement of a text.

    Raises:
        SqlError: The text exceeds a bound, or lexers could disagree about it.
    """

def lex(text: str) -> list[tuple[str, str]]:
    """Split a text into (kind, text) tokens; joined, their texts are `text`.

    Kinds are space, comment, word, quoted, text, dollar, number, variable, bind, stage, symbol.

    Raises:
        SqlError: As `classify`.
    """

def object_kinds() -> list[str]:
    """The kinds of objects that the classifier knows, upper-case and sorted.

    It is what `object_kind` says of DDL, of SHOW and DESCRIBE in their listed forms, of USE, SET
    and ALTER SESSION.
    """

def template(text: str, binds: Sequence[str]) -> tuple[str, list[str]] | None:
    """The template of a statement: its text with `?` in place of constants.

    Args:
        text: The statement.
        binds: Types of its own binds, in order.

    Returns:
        The template's text and the types of all its `?`; None if a verdict on it would say nothing
        of other statements, or if there are more or fewer `?` than binds.
    """

def string_value(text: str) -> str | None:
    """The value of a string constant, `'…'` or `$$…$$`; None for anything else."""

class MaskError(ValueError):
    """A plan that is none, or a result that does not fit it. Argument: reason."""

def mask_json_rowset(plan: str, rowset: bytes) -> tuple[bytes, int]:
    """Mask a rowset, `[[…],[…]]`, for tests and tools: a live result never enters Python.

    Args:
        plan: JSON, an array of `[type, mask]` in output order: the `type` of a rowtype entry, and
            `"pass"`, `"redact"`, `"null"`, `"void"` or `{"partial": [first, last]}`.
        rowset: Rows of text or null.

    Returns:
        The masked rowset, and its number of rows.

    Raises:
        MaskError: The plan is none, or the rowset does not fit it.
    """

def log_to_stderr(level: int) -> None:
    """Write the log lines of the Rust half to stderr, in the form of `snowgate.telemetry`.

    Args:
        level: Lowest level written, as `logging` counts; may be set again.
    """

def mask_arrow_stream(plan: str, stream: bytes) -> tuple[bytes, int]:
    """Mask an Arrow IPC stream; otherwise as `mask_json_rowset`."""

class LedgerFailure(Exception):
    """A ledger does not verify or cannot be read; the message names what and where.

    Example: `entry 17 (segments/00000000000000000000.seg, offset 4711): crc mismatch`.
    """

class TextDestroyed(LedgerFailure):
    """The key of a text has been destroyed; the message names it. Its entry still verifies."""

@final
class LedgerReport:
    """What a ledger that verifies holds."""

    @property
    def origin(self) -> str:
        """Name of the log."""

    @property
    def size(self) -> int:
        """Entries, each covered by a signed checkpoint."""

    @property
    def root(self) -> str:
        """Root of the tree over them, in hex."""

    @property
    def checkpoint(self) -> str:
        """The newest signed checkpoint (C2SP tlog-checkpoint)."""

    @property
    def published(self) -> int:
        """Entries in the published checkpoint, at most `size`."""

    @property
    def kinds(self) -> dict[str, int]:
        """Entries of each kind."""

    @property
    def texts(self) -> int:
        """Encrypted texts."""

    @property
    def segments(self) -> int:
        """Segment files."""

    @property
    def first_time(self) -> str | None:
        """Time of the first entry."""

    @property
    def last_time(self) -> str | None:
        """Time of the last entry."""

    @property
    def open_intents(self) -> int:
        """Intents whose outcome is not recorded."""

    @property
    def uncommitted_bytes(self) -> int:
        """Bytes of a batch that a crash, or a writer at work, left unfinished."""

def verify_ledger(
    directory: str | PathLike[str], vkey: str, extends: bytes | None = None
) -> LedgerReport:
    """Verify every byte of a ledger directory. A running gateway may write meanwhile.

    Takes about 10 s for a million entries; call it in a worker thread.

    Args:
        directory: The ledger.
        vkey: Verifier key of its log, `<name>+<key id>+<base64>`.
        extends: An older checkpoint that the log must be a continuation of.

    Raises:
        LedgerFailure: It does not verify.
    """

def prove_entry(directory: str | PathLike[str], vkey: str, seq: int) -> bytes:
    """Prove that an entry is in the published log.

    Returns:
        C2SP tlog-proof, with the checkpoint in it.

    Raises:
        LedgerFailure: The published log has no such entry.
    """

def prove_extension(
    directory: str | PathLike[str], vkey: str, size: int
) -> tuple[bytes, list[bytes]]:
    """Prove that the published log extends its first `size` entries.

    Returns:
        The published checkpoint, and the hashes of the consistency proof (RFC 6962, section 2.1.2).

    Raises:
        LedgerFailure: The published log is shorter.
    """

@final
class LedgerReader:
    """The committed entries of a ledger, in order. Takes no lock, verifies no signature.

    Args:
        directory: The ledger.
        start: Number of the first entry wanted.

    Raises:
        LedgerFailure: It cannot be read; also while iterating.
    """

    def __new__(cls, directory: str | PathLike[str], start: int = 0) -> LedgerReader: ...
    def __iter__(self) -> LedgerReader: ...
    def __next__(self) -> LedgerEntry: ...

@final
class LedgerEntry:
    """One entry as stored."""

    @property
    def seq(self) -> int:
        """Its number."""

    @property
    def json(self) -> bytes:
        """Canonical JSON."""

    def text(self, field: str, keys: TextKeys) -> bytes | None:
        """Decrypt the text of a member; None where the entry has no such text.

        Raises:
            TextDestroyed: Its key is gone.
            LedgerFailure: The key does not fit.
        """

@final
class TextKeys:
    """The keys of the texts in a ledger.

    Args:
        directory: The folder of the keys.
        root_key_file: The gateway's root key, 32 bytes; it stays in Rust.

    Raises:
        LedgerFailure: The root key cannot be read.
    """

    def __new__(
        cls, directory: str | PathLike[str], root_key_file: str | PathLike[str]
    ) -> TextKeys: ...

@final
class LedgerWriter:
    """Writes a ledger without a gate, for tools and tests. A running gate writes its own.

    Args:
        directory: The ledger; begun if empty.
        origin: Name of the log.
        key_file: Signing key; made, with its verifier key in `<name>.pub`, for a new ledger.
        text_keys: Folder of the keys of texts.
        root_key_file: The gateway's root key, 32 bytes.

    Raises:
        LedgerFailure: The ledger is damaged, locked, or of another origin.
    """

    def __new__(
        cls,
        directory: str | PathLike[str],
        origin: str,
        key_file: str | PathLike[str],
        text_keys: str | PathLike[str],
        root_key_file: str | PathLike[str],
    ) -> LedgerWriter: ...
    def append(self, entry: bytes) -> int:
        """Append an entry, wait until it is on disk, and return its number.

        Args:
            entry: `{"kind", "fields", "texts"?: [{"field", "subject", "text"}]}`, JSON.

        Raises:
            LedgerFailure: It was not recorded.
        """

    def close(self) -> None:
        """Publish the last checkpoint and unlock the directory; later appends are refused.

        Raises:
            LedgerFailure: Something could not be written.
        """
