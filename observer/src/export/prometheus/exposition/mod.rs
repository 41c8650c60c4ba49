//! What a scrape is answered with: in which format, and compressed or not, as the scraper's request headers say.

mod accept;
mod protobuf;
mod text;

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

pub use self::accept::{Escaping, Format, takes_gzip};
use super::registry::{Family, Registry};
use text::Dialect;

/// The body of a scrape in `format`.
pub fn body(registry: &Registry, format: Format) -> Vec<u8> {
    write(&registry.gather(), format)
}

/// All metrics in the text format of Prometheus.
pub fn plain_text(registry: &Registry) -> Vec<u8> {
    body(registry, Format::Text)
}

/// `body` as a gzip file.
///
/// # Errors
/// None that memory could give.
pub fn gzip(body: &[u8]) -> io::Result<Vec<u8>> {
    // A scrape is mostly names that come again and again: the fastest level finds them.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

fn write(families: &[Family], format: Format) -> Vec<u8> {
    match format {
        Format::Text | Format::TextUtf8(_) => text::write(families, Dialect::Prometheus),
        Format::OpenMetrics(_) => text::write(families, Dialect::OpenMetrics),
        Format::Protobuf(_) => protobuf::write(families),
    }
}
