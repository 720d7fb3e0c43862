//! What fuzzing has found stays found: the corpus of `rust/fuzz`, through the bodies of its targets.

#![expect(clippy::expect_used, clippy::indexing_slicing, unreachable_pub, reason = "tests may")]

use std::{fs, path::Path};

#[path = "../../fuzz/src/targets.rs"]
mod targets;

type Body = fn(&[u8]);

const TARGETS: [(&str, Body); 9] = [
    ("lex", targets::lex),
    ("classify", targets::classify),
    ("template", targets::template),
    ("mask_json", targets::mask_json),
    ("mask_arrow", targets::mask_arrow),
    ("wire_login", targets::wire_login),
    ("wire_query", targets::wire_query),
    ("wire_reply", targets::wire_reply),
    ("ledger", targets::ledger),
];

#[test]
fn the_corpus_of_every_target_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, body) in TARGETS {
        let mut inputs = 0;
        for file in fs::read_dir(corpus.join(name)).unwrap() {
            body(&fs::read(file.unwrap().path()).unwrap());
            inputs += 1;
        }
        assert!(inputs > 0, "no corpus for {name}");
    }
}
