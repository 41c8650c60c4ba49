//! Library calls shaped (object, buffer, length), by attach cookie.

/// What a library function was called with.
#[repr(C)]
pub struct Arguments {
    pub object: u64,
    pub buffer: u64,
    pub length: u64,
    pub count_at: u64,
    pub entered_ns: u64,
    pub cookie: u64,
}
