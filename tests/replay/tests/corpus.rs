//! The fuzz targets over their corpus, in every ordinary run: what was once found stays mended.

#[path = "../../fuzz/laws.rs"]
mod laws;
#[path = "../../fuzz/records.rs"]
mod records;
#[path = "../../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

type Target = (&'static str, fn(&[u8]));

const TARGETS: &[Target] = &[
    ("bodies", targets::bodies),
    ("http1", targets::http1),
    ("http2", targets::http2),
    ("pipeline", records::pipeline),
    ("record", records::record),
    ("skim", targets::skim),
    ("sse", targets::sse),
    ("stdio", targets::stdio),
    ("websocket", targets::websocket),
];

#[test]
fn the_corpus_of_each_target_passes() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    assert_eq!(names(&fuzz.join("fuzz_targets")).len(), TARGETS.len(), "each target is listed here");
    for (name, target) in TARGETS {
        let corpus = fuzz.join("corpus").join(name);
        let inputs = names(&corpus);
        assert!(!inputs.is_empty(), "{name} has no corpus");
        for input in inputs {
            let bytes = fs::read(corpus.join(&input)).expect("an input");
            // As they are, and cut at other places: the first bytes say where.
            target(&bytes);
            for cut in (0..=255).step_by(51) {
                let mut other = bytes.clone();
                other.iter_mut().take(1).for_each(|place| *place = cut);
                target(&other);
            }
        }
    }
}

fn names(folder: &Path) -> Vec<std::ffi::OsString> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    names
}
