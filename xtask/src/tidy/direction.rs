//! The direction rule: a stage of the pipeline uses the stages before it and nothing that comes after.

use super::Finding;
use super::source::Source;

/// The stages in their order. Those of one line are one stage; the first line is what all may use.
const STAGES: &[&[&str]] = &[
    &["health", "limits", "private", "table", "time"],
    &["input"],
    &["reassembly"],
    &["transport"],
    &["jsonrpc"],
    &["mcp"],
    &["pairing"],
    &["attribution"],
    &["observation"],
];

/// The files that join the stages. They may use all of them, and no stage uses them.
const GLUE: &[&str] = &[
    "auth",
    "completion",
    "connection",
    "early",
    "ends",
    "exchanges",
    "feed",
    "holes",
    "http",
    "labels",
    "lifecycle",
    "lines",
    "parties",
    "partners",
    "proof",
    "reader",
    "relays",
    "rounds",
    "sessions",
    "settle",
    "span_facts",
    "steps",
    "subscriptions",
    "tasks",
    "tests",
    "unseen_endpoint",
];

/// What stands around the pipeline and is not to be used inside it.
const OUTSIDE: [&str; 6] = ["agent", "capture", "cli", "config", "export", "expressions"];

/// Checks the paths that a file of `observer/src/pipeline` uses.
pub fn only_earlier_stages(source: &Source) -> Vec<Finding> {
    let Some(inside) = source.path.strip_prefix("observer/src/pipeline/") else { return Vec::new() };
    if !source.is_rust() || source.is_test() {
        return Vec::new();
    }
    let module = module_path(inside);
    let Some(here) = module.get(1).filter(|module| !GLUE.contains(&module.as_str())) else {
        return uses(source, &module).filter_map(|(line, path)| leaves(line, &path)).collect();
    };
    let Some(own) = rank(here) else {
        return vec![Finding::refused(1, format!("`{here}` has no place in the order of the stages"))];
    };
    let found = uses(source, &module).filter_map(|(line, path)| {
        let inner = path.strip_prefix(&["pipeline".to_owned()]);
        let Some(used) = inner.and_then(<[String]>::first) else { return leaves(line, &path) };
        match rank(used) {
            Some(rank) if rank <= own => None,
            Some(_) => Some(Finding::refused(line, format!("`{here}` uses `{used}`, a later stage"))),
            None => Some(Finding::refused(line, format!("`{here}` uses `{used}` of the glue"))),
        }
    });
    found.collect()
}

fn rank(stage: &str) -> Option<usize> {
    STAGES.iter().position(|names| names.contains(&stage))
}

fn leaves(line: usize, path: &[String]) -> Option<Finding> {
    let outside = path.first().filter(|first| OUTSIDE.contains(&first.as_str()))?;
    Some(Finding::refused(line, format!("the pipeline uses `{outside}`, which is outside of it")))
}

/// `jsonrpc/skim.rs` is `pipeline::jsonrpc::skim`, `mod.rs` is `pipeline`.
fn module_path(file: &str) -> Vec<String> {
    let parts = file.trim_end_matches(".rs").split('/').filter(|part| *part != "mod");
    std::iter::once("pipeline").chain(parts).map(str::to_owned).collect()
}

/// Every path of this crate that the shipped code names, from the crate's root, with its line.
fn uses<'s>(source: &'s Source, module: &'s [String]) -> impl Iterator<Item = (usize, Vec<String>)> + 's {
    let lines: Vec<&str> = source.shipped_code().map(|(_, code)| code).collect();
    let code = lines.join("\n");
    let mut found = Vec::new();
    for start in path_starts(&code) {
        let line = code[..start].matches('\n').count() + 1;
        let mut leaves = Vec::new();
        expand(&mut Tokens(&code[start..]), &mut Vec::new(), &mut leaves);
        found.extend(leaves.into_iter().filter_map(|path| Some((line, absolute(&path, module)?))));
    }
    found.into_iter()
}

/// Where a path begins that is relative to this crate.
fn path_starts(code: &str) -> Vec<usize> {
    let mut starts = Vec::new();
    for keyword in ["crate", "super"] {
        for (at, _) in code.match_indices(keyword) {
            let before = code[..at].trim_end();
            let inside_word = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let followed = code[at + keyword.len()..].trim_start().starts_with("::");
            if !inside_word && followed && !before.ends_with("::") {
                starts.push(at);
            }
        }
    }
    starts
}

/// Turns `crate::a::{b, c::d}` into its paths.
fn expand(tokens: &mut Tokens, prefix: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    let depth = prefix.len();
    loop {
        match tokens.next() {
            Some("{") => {
                while !matches!(tokens.peek(), None | Some("}")) {
                    expand(tokens, prefix, paths);
                    if tokens.peek() == Some(",") {
                        tokens.next();
                    }
                }
                tokens.next();
                break;
            }
            Some(name) => prefix.push(name.to_owned()),
            None => break,
        }
        if tokens.peek() != Some("::") {
            paths.push(prefix.clone());
            skip_rename(tokens);
            break;
        }
        tokens.next();
    }
    prefix.truncate(depth);
}

fn skip_rename(tokens: &mut Tokens) {
    if tokens.peek() == Some("as") {
        tokens.next();
        tokens.next();
    }
}

/// Resolves `crate` and `super` against the module that names the path.
fn absolute(path: &[String], module: &[String]) -> Option<Vec<String>> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    let (base, rest) = match path.first()?.as_str() {
        "crate" => (&[][..], &path[1..]),
        _ => (&module[..module.len().checked_sub(ups)?], &path[ups..]),
    };
    Some(base.iter().chain(rest).cloned().collect())
}

/// The words and signs that a path is made of.
struct Tokens<'a>(&'a str);

impl<'a> Tokens<'a> {
    fn peek(&self) -> Option<&'a str> {
        let text = self.0.trim_start();
        let sign = ["::", "{", "}", ",", "*"].into_iter().find(|sign| text.starts_with(sign));
        let word = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        sign.map(|sign| &text[..sign.len()]).or((word > 0).then(|| &text[..word]))
    }

    fn next(&mut self) -> Option<&'a str> {
        let token = self.peek()?;
        self.0 = &self.0.trim_start()[token.len()..];
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let found = only_earlier_stages(&Source::new(path, text));
        found.into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_later_stage_is_refused_and_an_earlier_one_is_not() {
        let text = "use crate::pipeline::input::Input;\nuse crate::pipeline::mcp::Method;\n";
        assert_eq!(lines("observer/src/pipeline/transport/stdio.rs", text), [2]);
        assert_eq!(lines("observer/src/pipeline/pairing/mod.rs", text), NONE);
    }

    #[test]
    fn relative_and_grouped_and_inline_paths_are_seen() {
        let relative = "use super::super::{input::{Event, Input}, pairing::Scope as S, time};\n";
        assert_eq!(lines("observer/src/pipeline/jsonrpc/skim.rs", relative), [1]);
        assert_eq!(lines("observer/src/pipeline/jsonrpc/mod.rs", "use super::mcp;\n"), [1]);
        assert_eq!(
            lines("observer/src/pipeline/jsonrpc/mod.rs", "fn f(x: &crate::pipeline::mcp::Method) {}\n"),
            [1]
        );
        assert_eq!(
            lines(
                "observer/src/pipeline/input.rs",
                "use crate::{error::Error,\n pipeline::observation::*};\n"
            ),
            [1]
        );
        assert_eq!(
            lines("observer/src/pipeline/jsonrpc/skim.rs", "use super::Message;\n"),
            NONE,
            "its own stage"
        );
    }

    #[test]
    fn the_glue_is_refused_inside_and_may_use_every_stage() {
        assert_eq!(lines("observer/src/pipeline/mcp/mod.rs", "use crate::pipeline::Pipeline;\n"), [1]);
        assert_eq!(lines("observer/src/pipeline/mcp/mod.rs", "use super::feed::Fed;\n"), [1]);
        for glue in ["mod", "feed"] {
            let path = format!("observer/src/pipeline/{glue}.rs");
            assert_eq!(lines(&path, "use super::{observation::Observation, feed};\n"), NONE, "{glue}");
        }
    }

    #[test]
    fn what_is_around_the_pipeline_is_refused_everywhere_inside() {
        for outside in OUTSIDE {
            let text = format!("use crate::{outside}::X;\n");
            assert_eq!(lines("observer/src/pipeline/mod.rs", &text), [1], "{outside}");
            assert_eq!(lines("observer/src/pipeline/observation.rs", &text), [1], "{outside}");
            assert_eq!(lines("observer/src/export/mod.rs", &text), NONE, "{outside}");
        }
    }

    #[test]
    fn tests_may_use_all_and_an_unknown_stage_is_refused() {
        let tests = "#[cfg(test)]\nmod tests { use crate::pipeline::observation::Call; }\n";
        assert_eq!(lines("observer/src/pipeline/input.rs", tests), NONE);
        assert_eq!(lines("observer/src/pipeline/novel.rs", "//! New.\n"), [1]);
    }
}
