//! Fetches Debian packages and unpacks them in a folder, beside the system's own and without installing them.
//!
//! What is unpacked appears under its final name only when it is whole, so an interrupted fetch is done again.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{Archive, Kernel};
use crate::process;

/// The suite whose libraries the fetched programs use; QEMU 7.2, its own, breaks guests with Linux 6.12.
const SUITE: &str = "bookworm";
const EMULATOR_SUITE: &str = "bookworm-backports";
/// The emulator, and what it needs in its own or in another version than the system's package.
const EMULATOR: [&str; 4] = ["qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios"];
const EMULATOR_LIBRARIES: [&str; 3] = ["libslirp0", "libfdt1", "libcapstone4"];
/// Has the file server for guests, which later releases dropped.
const FILE_SERVER: &str = "qemu-system-common";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Fetches QEMU.
pub fn emulator(folder: &Path, into: &Path) -> Result<()> {
    println!("vm: fetching the emulator");
    let apt = Apt::new(folder, &[(Archive::Main, SUITE), (Archive::Main, EMULATOR_SUITE)])?;
    let newest = EMULATOR.iter().map(|package| format!("{package}/{EMULATOR_SUITE}"));
    let packages: Vec<_> = newest.chain(EMULATOR_LIBRARIES.map(str::to_owned)).collect();
    whole(into, |unpacked| apt.unpack(&packages, unpacked))
}

/// Fetches the program that gives the guest this machine's files.
pub fn file_server(folder: &Path, into: &Path) -> Result<()> {
    println!("vm: fetching the file server");
    let apt = Apt::new(folder, &[(Archive::Main, SUITE)])?;
    whole(into, |unpacked| apt.unpack(&[FILE_SERVER.to_owned()], unpacked))
}

/// Fetches a kernel: `vmlinuz`, and its modules under `lib/modules/RELEASE`.
pub fn kernel(folder: &Path, kernel: &Kernel, into: &Path) -> Result<()> {
    println!("vm: fetching Linux {}", kernel.name);
    let apt = Apt::new(folder, &[(kernel.archive, kernel.suite)])?;
    let image = apt.dependencies("linux-image-cloud-amd64", &["linux-image-"])?;
    let image = image.first().context("the suite has no kernel image")?;
    let mut packages = apt.dependencies(image, &["linux-binary-", "linux-modules-", "linux-base-"])?;
    packages.push(image.clone());
    whole(into, |unpacked| {
        let raw = unpacked.join("raw");
        apt.unpack(&packages, &raw)?;
        arrange(&raw, unpacked)
    })
}

/// Moves kernel and modules from where the packages have them to where a boot looks for them.
fn arrange(raw: &Path, into: &Path) -> Result<()> {
    let places = ["lib/modules", "usr/lib/modules"].map(|place| raw.join(place));
    let modules = places.iter().find(|place| place.is_dir()).context("the packages have no modules")?;
    std::fs::create_dir_all(into.join("lib"))?;
    std::fs::rename(modules, into.join("lib/modules"))?;
    let release = release(into)?;
    let images =
        [raw.join(format!("boot/vmlinuz-{release}")), into.join(format!("lib/modules/{release}/vmlinuz"))];
    let image = images.iter().find(|image| image.is_file()).context("the packages have no kernel")?;
    std::fs::copy(image, into.join("vmlinuz"))?;
    std::fs::remove_dir_all(raw)?;
    process::output(Command::new("depmod").arg("-b").arg(into).arg(&release)).map(drop)
}

/// The release name of the kernel that was unpacked into `folder`.
pub fn release(folder: &Path) -> Result<String> {
    let entry = std::fs::read_dir(folder.join("lib/modules"))?.next().context("no modules")??;
    entry.file_name().into_string().ok().context("the kernel's release name is no text")
}

fn whole(into: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let part = into.with_extension("part");
    if part.exists() {
        std::fs::remove_dir_all(&part)?;
    }
    std::fs::create_dir_all(&part)?;
    fill(&part)?;
    std::fs::rename(&part, into).with_context(|| format!("naming {}", into.display()))
}

/// `apt-get` with lists of its own: the machine's sources, lists and installed packages play no part.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn new(parent: &Path, sources: &[(Archive, &str)]) -> Result<Self> {
        let names: Vec<_> = sources.iter().map(|(_, suite)| *suite).collect();
        let folder = parent.join(format!("apt-{}", names.join("-")));
        for inner in ["lists/partial", "cache/archives/partial", "parts"] {
            std::fs::create_dir_all(folder.join(inner))?;
        }
        let line = |(archive, suite): &(Archive, &str)| {
            Ok(format!("deb [signed-by={KEYRING}] {} {suite} main\n", mirror(*archive)?))
        };
        std::fs::write(folder.join("list"), sources.iter().map(line).collect::<Result<String>>()?)?;
        std::fs::write(folder.join("status"), "")?;
        std::fs::write(folder.join("conf"), configuration(&folder))?;
        let apt = Self { folder };
        process::output(apt.command("apt-get").args(["-qq", "update"]))?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.folder.join("conf"));
        command
    }

    /// The packages that `package` depends on directly, those with one of these beginnings and a version.
    fn dependencies(&self, package: &str, beginnings: &[&str]) -> Result<Vec<String>> {
        let shown = process::output(self.command("apt-cache").args(["show", "--no-all-versions", package]))?;
        let line = shown.lines().find_map(|line| line.strip_prefix("Depends: ")).unwrap_or_default();
        let names = line.split([',', '|']).filter_map(|item| item.split_whitespace().next());
        let versioned = names.filter(|name| {
            let rest = beginnings.iter().find_map(|beginning| name.strip_prefix(beginning));
            rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        });
        Ok(versioned.map(str::to_owned).collect())
    }

    fn unpack(&self, packages: &[String], into: &Path) -> Result<()> {
        let downloads = self.folder.join("downloads");
        std::fs::create_dir_all(&downloads)?;
        let mut download = self.command("apt-get");
        process::output(download.args(["-qq", "download"]).args(packages).current_dir(&downloads))?;
        for entry in std::fs::read_dir(&downloads)? {
            process::output(Command::new("dpkg-deb").arg("-x").arg(entry?.path()).arg(into))?;
        }
        std::fs::remove_dir_all(&downloads).context("removing the packages")
    }
}

fn configuration(folder: &Path) -> String {
    let place = |name: &str| folder.join(name).display().to_string();
    [
        ("Dir::Etc::sourcelist", place("list")),
        ("Dir::Etc::sourceparts", place("parts")),
        ("Dir::Etc::preferencesparts", place("parts")),
        ("Dir::State::lists", place("lists")),
        ("Dir::Cache", place("cache")),
        ("Dir::State::status", place("status")),
        ("APT::Sandbox::User", "root".to_owned()),
        ("Acquire::Languages", "none".to_owned()),
        // An archive that has come to rest is not signed again.
        ("Acquire::Check-Valid-Until", "false".to_owned()),
    ]
    .map(|(key, value)| format!("{key} \"{value}\";\n"))
    .concat()
}

/// The mirror that this machine uses for the archive.
fn mirror(archive: Archive) -> Result<String> {
    let ending = match archive {
        Archive::Main => "/debian",
        Archive::Security => "/debian-security",
    };
    let listed = configured_uris()?;
    listed
        .into_iter()
        .find(|uri| uri.ends_with(ending))
        .with_context(|| format!("no source of apt ends in {ending}: guests are made from Debian's packages"))
}

fn configured_uris() -> Result<Vec<String>> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    for entry in std::fs::read_dir("/etc/apt/sources.list.d")? {
        files.push(entry?.path());
    }
    let text: String = files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let uris = lines.flat_map(str::split_whitespace).filter(|word| word.starts_with("http"));
    let uris: Vec<_> = uris.map(|uri| uri.trim_end_matches('/').to_owned()).collect();
    if uris.is_empty() {
        bail!("no source is configured");
    }
    Ok(uris)
}
