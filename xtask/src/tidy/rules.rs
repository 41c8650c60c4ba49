//! Rules on single Rust files.

use super::Finding;
use super::source::Source;

/// Past this a file is to be read with the question what second thing is in it.
const WARN_LINES: usize = 400;
/// Past this it is refused.
const MOST_LINES: usize = 600;

/// Every Rust file opens with a line that says what it is for.
pub fn opens_with_purpose(source: &Source) -> Vec<Finding> {
    let first = source.text.lines().next().unwrap_or_default();
    let purpose = first.strip_prefix("//!").unwrap_or_default().trim();
    if !source.is_rust() || !purpose.is_empty() {
        return Vec::new();
    }
    vec![Finding::refused(1, "does not open with `//!` and its purpose")]
}

/// A file has one subject, which its length gives away.
pub fn short_enough(source: &Source) -> Vec<Finding> {
    let lines = source.lines_before_tests;
    match lines {
        _ if !source.is_rust() || source.is_test() => Vec::new(),
        0..=WARN_LINES => Vec::new(),
        _ if lines <= MOST_LINES => vec![Finding::warned(1, format!("{lines} lines before its tests"))],
        _ => vec![Finding::refused(1, format!("{lines} lines before its tests, {MOST_LINES} are the most"))],
    }
}

/// The observer runs for months as root: what it does not expect is counted, and never ends it.
pub fn cannot_panic(source: &Source) -> Vec<Finding> {
    const ENDINGS: [&str; 6] =
        [".unwrap(", ".expect(", "panic!", concat!("to", "do!"), "unimplemented!", "unreachable!"];
    if !source.is_rust() || !source.path.starts_with("observer/src/") || source.is_test() {
        return Vec::new();
    }
    let found = source.shipped_code().filter_map(|(line, code)| {
        let ending = ENDINGS.iter().find(|ending| code.contains(**ending))?;
        Some(Finding::refused(line, format!("`{}` may end the agent", ending.trim_matches(['.', '(']))))
    });
    found.collect()
}

/// All unsafe code is in the kernel programs.
pub fn no_unsafe(source: &Source) -> Vec<Finding> {
    if !source.is_rust() || source.path.starts_with("observer-ebpf/") {
        return Vec::new();
    }
    let word = concat!("un", "safe");
    let found = numbered_words(source).filter(|(_, found)| *found == word);
    found.map(|(line, _)| Finding::refused(line, "unsafe code outside observer-ebpf")).collect()
}

/// What is not finished is not committed.
pub fn nothing_unfinished(source: &Source) -> Vec<Finding> {
    const MARKS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    if source.path.ends_with(".lock") {
        return Vec::new();
    }
    let marked = source.lines().filter(|(_, line)| words(line).any(|word| MARKS.contains(&word)));
    marked.map(|(line, _)| Finding::refused(line, "marks something as unfinished")).collect()
}

fn numbered_words<'s>(source: &'s Source) -> impl Iterator<Item = (usize, &'s str)> {
    let lines = source.code.lines().enumerate();
    lines.flat_map(|(at, line)| words(line).map(move |word| (at + 1, word)))
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::Rule;

    fn findings(rule: Rule, path: &str, text: &str) -> Vec<Finding> {
        rule(&Source::new(path, text))
    }

    #[test]
    fn a_file_without_purpose_is_refused() {
        assert_eq!(findings(opens_with_purpose, "a.rs", "fn f() {}\n").len(), 1);
        assert_eq!(
            findings(opens_with_purpose, "a.rs", "//!\nfn f() {}\n").len(),
            1,
            "an empty purpose is none"
        );
        assert_eq!(findings(opens_with_purpose, "a.rs", "//! F.\nfn f() {}\n"), []);
        assert_eq!(findings(opens_with_purpose, "a.toml", "[package]\n"), []);
    }

    #[test]
    fn a_long_file_is_warned_and_a_longer_one_refused() {
        let of = |lines: usize| findings(short_enough, "a.rs", &"fn f() {}\n".repeat(lines));
        assert_eq!(of(400), []);
        assert_eq!(of(401)[0].weight, crate::tidy::Weight::Warned);
        assert_eq!(of(601)[0].weight, crate::tidy::Weight::Refused);
        let mostly_tests = format!("fn f() {{}}\n#[cfg(test)]\n{}", "fn f() {}\n".repeat(700));
        assert_eq!(findings(short_enough, "a.rs", &mostly_tests), [], "tests do not count");
    }

    #[test]
    fn code_of_the_observer_that_may_panic_is_refused() {
        let text = "//! F.\nfn f() { g().unwrap(); h().unwrap_or(1) }\n// x.unwrap()\n#[cfg(test)]\nfn t() { g().unwrap() }\n";
        let found = findings(cannot_panic, "observer/src/a.rs", text);
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [2]);
        assert_eq!(findings(cannot_panic, "xtask/src/a.rs", text), []);
        assert_eq!(findings(cannot_panic, "observer/src/pipeline/tests.rs", text), []);
        for bad in ["x.expect(\"\")", "panic!()", concat!("to", "do!()"), "unreachable!()"] {
            assert_eq!(findings(cannot_panic, "observer/src/a.rs", bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn unsafe_code_outside_the_kernel_programs_is_refused() {
        let text = "#![forbid(unsafe_code)]\nunsafe impl Send for S {}\n// unsafe\n";
        let found = findings(no_unsafe, "observer/src/a.rs", text);
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [2]);
        assert_eq!(findings(no_unsafe, "observer-ebpf/src/a.rs", text), []);
    }

    #[test]
    fn unfinished_work_is_refused_in_any_file() {
        let mark = concat!("# TO", "DO: later\n");
        assert_eq!(findings(nothing_unfinished, "a.md", mark).len(), 1);
        assert_eq!(findings(nothing_unfinished, "a.md", "a todo list of the user\n"), []);
    }
}
