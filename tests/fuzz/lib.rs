//! What the fuzz targets check, without the fuzzer.

pub mod laws;
pub mod records;
pub mod targets;
