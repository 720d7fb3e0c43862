//! One function for each fuzz target.

use std::{fs, path::Path, sync::OnceLock, sync::mpsc};

use serde_json::{Map, Value};
use snowgate_ledger::{Kek, Ledger, NewEntry, Reader, Settings, verify};
use snowgate_mask::{
    ArrowStreamMasker, Column, JsonChunkMasker, LogicalType, Mask, MaskPlan, mask_arrow_stream,
    mask_json_rowset,
};
use snowgate_sql::{Limits, TokenKind};
use snowgate_wire::{
    AbortRequest, LoginRequest, Parameters, QueryReply, QueryRequest, QueryStatus, Render,
    RenderRows, TokenRequest, check_json,
};
use tempfile::TempDir;

/// The tokens of a text, joined, are the text, and each is found again at its place.
pub fn lex(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(tokens) = snowgate_sql::lex(text, &Limits::default()) else { return };
    let mut at = 0;
    for token in &tokens {
        assert_eq!(token.start, at);
        assert!(!token.text.is_empty());
        at = token.end();
        assert_eq!(&text[token.start..at], token.text);
    }
    assert_eq!(at, text.len());
}

/// A statement's parts lie inside the text, and what is refused once is refused again; two statements
/// are refused whatever they are.
pub fn classify(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(found) = snowgate_sql::classify(text, &Limits::default()) else { return };
    let several = found.statements.len() > 1;
    assert!(!several || found.refusal().is_some());
    for head in &found.statements {
        assert!(head.start < head.end);
        assert!(head.end <= text.len());
        assert!(head.target_end <= head.end);
        let only = &text[head.start..head.end];
        let again = match snowgate_sql::classify(only, &Limits::default()) {
            // A `;` between brackets splits them.
            Err(_) if several => continue,
            again => again.expect("a statement of a text"),
        };
        assert_eq!(again.statements.len(), 1);
        let again = &again.statements[0];
        assert_eq!((again.class, &again.verb), (head.class, &head.verb));
        assert_eq!(again.refusal, head.refusal);
    }
}

/// A template is its own template; its slots are those of its constants, each of a known type.
pub fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let limits = Limits::default();
    let Some(found) = snowgate_sql::template(text, &limits) else { return };
    let again = snowgate_sql::template(&found.text, &limits).expect("a template has a template");
    assert_eq!(again.text, found.text);
    assert_eq!(again.slots.len(), found.slots.len());
    let shape = snowgate_sql::lex(&found.text, &limits).expect("a template can be lexed");
    let placeholders = shape.iter().filter(|token| token.kind == TokenKind::Bind).count();
    assert_eq!(placeholders, found.slots.len());
    // A template and its statement are of one class.
    let class = |text: &str| {
        let classified = snowgate_sql::classify(text, &limits).expect("a statement");
        (classified.statements.len(), classified.statements.first().map(|head| head.class))
    };
    assert_eq!(
        class(&found.text),
        class(text.trim_end_matches(|c: char| c == ';' || c.is_ascii_whitespace()))
    );
}

fn masks() -> MaskPlan {
    let ends = Mask::Partial { keep_first: 1, keep_last: 2 };
    MaskPlan::new(
        [
            (LogicalType::Fixed, Mask::Pass),
            (LogicalType::Text, Mask::Redact),
            (LogicalType::Text, ends),
            (LogicalType::Text, Mask::Void),
        ]
        .map(|(logical, mask)| (Column::new(logical), mask))
        .to_vec(),
    )
}

/// Whatever the rows and however they are split, what comes out has the masks and is JSON.
pub fn mask_json(data: &[u8]) {
    let plan = masks();
    let mut whole = Vec::new();
    let masked = mask_json_rowset(&plan, data, &mut whole);
    assert!(masked.is_ok() || whole.is_empty(), "a failed rowset leaves nothing behind");
    if masked.is_ok() {
        let rows: Vec<Vec<Value>> = serde_json::from_slice(&whole).expect("masked rows are JSON");
        for row in &rows {
            assert_eq!(row.len(), 4);
            assert_eq!(row[1], Value::String("***".to_owned()));
            assert_eq!(row[3], rows[0][3], "void is one constant");
        }
    }
    // Rows without the outer brackets, in two pieces.
    let split = data.first().map_or(0, |&byte| usize::from(byte) % data.len().max(1));
    let (one, two) = data.split_at(split);
    let mut together = JsonChunkMasker::new(&plan);
    let mut apart = JsonChunkMasker::new(&plan);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let whole = together.push(data, &mut first).and_then(|()| together.finish());
    let pieces = apart
        .push(one, &mut second)
        .and_then(|()| apart.push(two, &mut second))
        .and_then(|()| apart.finish());
    if let (Ok(whole), Ok(pieces)) = (&whole, &pieces) {
        assert_eq!(whole, pieces);
        assert_eq!(first, second);
    }
    assert_eq!(whole.is_ok(), pieces.is_ok(), "a split decides nothing");
}

/// Whatever the stream and however it is split, masking ends the same way.
pub fn mask_arrow(data: &[u8]) {
    let plan = masks();
    let mut whole = Vec::new();
    let at_once = mask_arrow_stream(&plan, data, &mut whole);
    assert!(at_once.is_ok() || whole.is_empty(), "a failed stream leaves nothing behind");
    let split = data.first().map_or(0, |&byte| usize::from(byte) % data.len().max(1));
    let (one, two) = data.split_at(split);
    let mut masker = ArrowStreamMasker::new(&plan);
    let mut pieces = Vec::new();
    let apart = masker
        .push(one, &mut pieces)
        .and_then(|()| masker.push(two, &mut pieces))
        .and_then(|()| masker.finish(&mut pieces));
    assert_eq!(at_once.is_ok(), apart.is_ok(), "a split decides nothing");
    if at_once.is_ok() {
        assert_eq!(whole, pieces);
    }
}

/// No login makes the gateway panic, or print a secret.
pub fn wire_login(data: &[u8]) {
    let (query, body) = data.split_at(data.iter().position(|&b| b == b'\n').unwrap_or(0));
    let query = std::str::from_utf8(query).unwrap_or_default();
    if let Ok(login) = LoginRequest::parse(body, query)
        && let Some(token) = &login.token
    {
        assert_eq!(format!("{token:?}"), "Secret(***)", "a token is never shown");
    }
    let _ = TokenRequest::parse(body);
    let _ = AbortRequest::parse(body);
    let _ = check_json(body);
}

/// What is read of a statement is sent upstream as JSON that is read as the same statement.
pub fn wire_query(data: &[u8]) {
    let Ok(request) = QueryRequest::parse(data) else { return };
    let body = request.upstream_body(&Parameters::new());
    check_json(&body).expect("what is sent upstream is strict JSON");
    let again = QueryRequest::parse(&body).expect("what is sent upstream is a statement");
    assert_eq!(again.sql, request.sql);
    assert_eq!(again.describe_only, request.describe_only);
    assert_eq!(again.bind_types(), request.bind_types());
}

/// What is rendered for a client is JSON, and a reply again.
pub fn wire_reply(data: &[u8]) {
    let _ = QueryStatus::parse(data);
    let Ok(QueryReply::Done(head)) = QueryReply::parse(data) else { return };
    let masked = vec![true; head.columns.len()];
    for rows in [RenderRows::Empty, RenderRows::Keep] {
        let body = head.render(&Render {
            query_id: "00000000-0000-4000-8000-000000000000",
            rows,
            chunks: &[],
            chunk_headers: &[],
            masked: &masked,
        });
        check_json(&body).expect("what a client gets is strict JSON");
    }
}

const ORIGIN: &str = "snowgate/fuzz";

/// A ledger of a few entries, made once: the files of its directory, and a home for its keys.
struct Written {
    home: TempDir,
    segment: (String, Vec<u8>),
    entries: Vec<Vec<u8>>,
}

fn settings(home: &Path, dir: &Path) -> Settings {
    let kek = Kek::from_root(&[7; 32]).expect("a key");
    Settings::new(dir, ORIGIN, home.join("signing.pem"), home.join("keys"), kek)
}

fn read(dir: &Path) -> Vec<Vec<u8>> {
    let reader = Reader::open(dir, 0).expect("a ledger");
    reader.map_while(Result::ok).map(|entry| entry.json).collect()
}

fn written() -> &'static Written {
    static WRITTEN: OnceLock<Written> = OnceLock::new();
    WRITTEN.get_or_init(|| {
        let home = tempfile::tempdir().expect("a directory");
        let dir = home.path().join("ledger");
        let ledger =
            Ledger::open(settings(home.path(), &dir), &mut |_, _, _| {}).expect("a new ledger");
        for number in 0..6 {
            let mut fields = Map::new();
            fields.insert("number".to_owned(), Value::from(number));
            let (sender, receiver) = mpsc::channel();
            let entry = NewEntry { kind: "heartbeat".into(), fields, texts: Vec::new() };
            ledger.append(entry, move |result| drop(sender.send(result)));
            receiver.recv().expect("an answer").expect("an entry");
        }
        ledger.close().expect("a whole ledger");
        let file = fs::read_dir(dir.join("segments")).expect("segments").next();
        let file = file.expect("one segment").expect("a file");
        let bytes = fs::read(file.path()).expect("its bytes");
        let segment = (file.file_name().to_string_lossy().into_owned(), bytes);
        let entries = read(&dir);
        Written { home, segment, entries }
    })
}

/// Recovery of a segment whose end is anything: refused, or a ledger that verifies and holds a beginning
/// of what was acknowledged. The first two bytes say where the end begins.
pub fn ledger(data: &[u8]) {
    let Some((place, tail)) = data.split_first_chunk::<2>() else { return };
    let known = written();
    let (name, bytes) = &known.segment;
    let keep = usize::from(u16::from_le_bytes(*place)) % (bytes.len() + 1);
    let mut segment = bytes[..keep].to_vec();
    segment.extend_from_slice(tail);

    let place = tempfile::tempdir().expect("a directory");
    let dir = place.path().join("ledger");
    fs::create_dir_all(dir.join("segments")).expect("a directory");
    fs::write(dir.join("segments").join(name), segment).expect("a segment");
    let mut settings = settings(known.home.path(), &dir);
    settings.create = false;
    let Ok(opened) = Ledger::open(settings, &mut |_, _, _| {}) else { return };
    opened.close().expect("a recovered ledger");
    let key = fs::read_to_string(known.home.path().join("signing.pub")).expect("a key");
    verify(&dir, &key, None).expect("what is recovered verifies");
    let found = read(&dir);
    assert!(known.entries.starts_with(&found), "nothing is made up");
}
