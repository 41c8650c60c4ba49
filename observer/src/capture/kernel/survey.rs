//! What this host can do, for `doctor`.

use serde::Serialize;

/// Facts for the operator.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Survey {
    /// Release of the running kernel.
    pub kernel: String,
}

/// Looks at this host. Works without privileges.
pub fn survey() -> Survey {
    Survey::default()
}
