//! Which kernel this is.

use anyhow::{Context as _, Result};
use rustix::system::uname;

/// Major and minor number of its release.
pub fn of_this_kernel() -> Result<(u32, u32)> {
    let name = uname();
    let release = name.release().to_str()?;
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let mut next = || numbers.next()?.ok();
    next().zip(next()).with_context(|| format!("no release: {release}"))
}
