//! `mcp-observer reference`: the pages of the reference.

use std::io::{self, Write};

use clap::builder::PossibleValuesParser;
use clap::{Args, CommandFactory};

use crate::error::Error;
use crate::reference::PAGES;

/// Print the reference of metrics, spans, flags, JSON lines and expressions, as Markdown.
#[derive(Args, Clone, Debug)]
pub struct Reference {
    /// Which page; without it, all.
    #[arg(value_parser = PossibleValuesParser::new(PAGES.iter().map(|page| page.name)))]
    page: Option<String>,
}

impl Reference {
    /// Does it.
    pub fn run(self) -> Result<(), Error> {
        let program = super::CommandLine::command();
        let mut output = io::stdout();
        for page in PAGES.iter().filter(|page| self.page.as_deref().is_none_or(|name| name == page.name)) {
            output.write_all(page.text(&program).as_bytes()).map_err(Error::from_output)?;
        }
        output.flush().map_err(Error::from_output)
    }
}
