//! The guest's first file system: a shell, the modules that reach this machine's files, and the first program.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::fetch;
use crate::process;

/// What the guest needs before it has this machine's files.
const MODULES: [&str; 6] = ["virtio_pci", "virtiofs", "overlay", "virtio_net", "virtio_blk", "virtio_rng"];
const INIT: &str = include_str!("init.sh");

/// Builds the image for the kernel in `kernel` as `folder/initramfs`.
pub fn build(kernel: &Path, folder: &Path) -> Result<PathBuf> {
    let tree = folder.join("initramfs.d");
    for inner in ["bin", "proc", "sys", "dev", "modules", "new", "lower", "upper"] {
        std::fs::create_dir_all(tree.join(inner))?;
    }
    std::fs::copy(busybox()?, tree.join("bin/busybox"))?;
    std::fs::write(tree.join("init"), INIT)?;
    std::fs::set_permissions(tree.join("init"), std::fs::Permissions::from_mode(0o755))?;
    std::fs::write(tree.join("modules/order"), modules(kernel, &tree.join("modules"))?)?;
    let image = folder.join("initramfs");
    pack(&tree, &image)?;
    std::fs::remove_dir_all(&tree)?;
    Ok(image)
}

/// Copies the modules, unpacked, and returns their names in the order in which they load.
fn modules(kernel: &Path, into: &Path) -> Result<String> {
    let release = fetch::release(kernel)?;
    let mut order = Vec::new();
    for module in MODULES {
        let mut modprobe = Command::new("modprobe");
        modprobe.arg("-d").arg(kernel).args(["-S", &release, "--show-depends", module]);
        for line in process::output(&mut modprobe)?.lines() {
            let Some(path) = line.strip_prefix("insmod ") else { continue }; // else it is built in
            let path = Path::new(path.trim());
            let name = path.file_name().and_then(|name| name.to_str()).context("a module has no name")?;
            let plain = name.trim_end_matches(".xz").to_owned();
            if !order.contains(&plain) {
                copy_plain(path, &into.join(&plain))?;
                order.push(plain);
            }
        }
    }
    Ok(order.join("\n") + "\n")
}

fn copy_plain(module: &Path, to: &Path) -> Result<()> {
    if module.extension().is_some_and(|extension| extension == "xz") {
        let status = Command::new("xz").arg("-dc").arg(module).stdout(File::create(to)?).status()?;
        ensure!(status.success(), "unpacking {} failed", module.display());
        return Ok(());
    }
    std::fs::copy(module, to).map(drop).with_context(|| format!("copying {}", module.display()))
}

fn busybox() -> Result<PathBuf> {
    let places = ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from);
    places.into_iter().find(|place| place.is_file()).context("busybox is not installed")
}

/// Packs a tree the way the kernel reads it.
fn pack(tree: &Path, image: &Path) -> Result<()> {
    let names = process::output(Command::new("find").arg(".").current_dir(tree))?;
    let mut cpio = Command::new("cpio");
    cpio.args(["-o", "-H", "newc", "--quiet"]).current_dir(tree).stdin(Stdio::piped());
    let mut child = cpio.stdout(File::create(image)?).spawn().context("starting cpio")?;
    child.stdin.take().context("cpio reads nothing")?.write_all(names.as_bytes())?;
    ensure!(child.wait()?.success(), "packing the first file system failed");
    Ok(())
}
