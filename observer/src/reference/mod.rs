//! The reference: pages of `docs/` that are made from the tables that the code itself uses.
//!
//! A page is a line here and a function that writes it. `tests/replay` compares the pages with `docs/`.

mod expressions;
mod flags;
mod json_lines;
mod metrics;
mod spans;

use std::fmt::Write as _;

/// A page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// How `mcp-observer reference` names it, and its file in `docs/`.
    pub name: &'static str,
    write: fn(&clap::Command, &mut String),
}

/// All pages.
pub const PAGES: &[Page] = &[
    Page { name: "metrics", write: |_, page| metrics::write(page) },
    Page { name: "spans", write: |_, page| spans::write(page) },
    Page { name: "flags", write: flags::write },
    Page { name: "json", write: |_, page| json_lines::write(page) },
    Page { name: "expressions", write: |_, page| expressions::write(page) },
];

impl Page {
    /// The page as Markdown. `program`: the command line as it is parsed.
    pub fn text(&self, program: &clap::Command) -> String {
        let mut page = String::new();
        (self.write)(program, &mut page);
        let name = self.name;
        let _ = write!(
            page,
            "\n---\n\nMade by `mcp-observer reference {name}` from the tables of the code; a test keeps it up to date.\n"
        );
        page
    }
}

/// A table, row by row.
fn table<const N: usize>(page: &mut String, heads: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    let mut row = |cells: &[String]| {
        let cells: Vec<String> =
            cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    };
    row(&heads.map(str::to_owned));
    row(&heads.map(|_| "---".to_owned()));
    rows.into_iter().for_each(|cells| row(&cells));
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

/// Names, separated by commas.
fn codes(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    names.into_iter().map(|name| code(name.as_ref())).collect::<Vec<_>>().join(", ")
}
