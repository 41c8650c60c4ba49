//! Whether this machine's processor can run guests, or the emulator has to do it all.
//!
//! A device `/dev/kvm` proves nothing: inside some virtual machines it is there and a guest stands still. So a kernel
//! is started once, with nothing to run, and must give up by itself soon.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Files, boot};
use crate::process::{self, Killed};

/// Software alone.
pub const EMULATION: &str = "tcg,thread=multi";
const KVM: &str = "kvm";
/// Far longer than a kernel needs to find that it has no root file system.
const PATIENCE: Duration = Duration::from_secs(10);

/// The accelerator to use here. The answer is kept in `folder`.
pub fn usable(folder: &Path, files: &Files) -> Result<&'static str> {
    let kept = folder.join("accelerator");
    if let Ok(answer) = std::fs::read_to_string(&kept) {
        return Ok(if answer == KVM { KVM } else { EMULATION });
    }
    let answer = if Path::new("/dev/kvm").exists() && runs_a_kernel(files)? { KVM } else { EMULATION };
    println!("vm: guests run with {answer}");
    std::fs::write(&kept, answer).context("keeping the choice of accelerator")?;
    Ok(answer)
}

fn runs_a_kernel(files: &Files) -> Result<bool> {
    let mut command = boot::bare_emulator(files, KVM);
    command.args(["-m", "512", "-append", "panic=-1"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut emulator = Killed(command.spawn().context("starting the emulator")?);
    Ok(process::ended_within(&mut emulator.0, PATIENCE)?.is_some_and(|status| status.success()))
}
