//! What is needed, how to see that it is there, and in which packages distributions have it.

use std::process::Command;

use anyhow::{Result, bail};
use install::prometheus::Prometheus;

use super::{Found, LLVM, in_path, llvm_prefix};
use crate::{process, workspace};

/// The oldest Node.js that the TypeScript SDK runs on.
const NODE: u32 = 20;

/// Something that comes from the distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    CCompiler,
    Llvm,
    OpenSsl,
    Node,
    Python,
    Network,
    Prometheus,
    Containers,
    Guests,
}

/// A family of distributions with the same package names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Debian,
    Fedora,
    Arch,
    Alpine,
    Suse,
}

impl Need {
    fn is_there(self) -> bool {
        match self {
            Self::CCompiler => in_path("cc"),
            Self::Llvm => llvm_prefix().is_some(),
            Self::OpenSsl => process::succeeds(Command::new("pkg-config").args(["--exists", "openssl"])),
            Self::Node => in_path("npm") && node_release().is_some_and(|release| release >= NODE),
            Self::Python => process::succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"])),
            Self::Network => ["ip", "nft", "wget"].into_iter().all(in_path),
            Self::Prometheus => workspace::target().is_ok_and(|target| Prometheus::find(&target).is_some()),
            Self::Containers => {
                ["containerd", "ctr", "dockerd", "docker", "runc", "podman"].into_iter().all(in_path)
            }
            Self::Guests => {
                ["busybox", "cpio", "depmod", "xz", "qemu-system-x86_64"].into_iter().all(in_path)
            }
        }
    }

    /// For a sentence that says what is missing.
    fn name(self) -> String {
        match self {
            Self::CCompiler => "a C compiler".to_owned(),
            Self::Llvm => format!("LLVM {LLVM} with its headers"),
            Self::OpenSsl => "OpenSSL with its headers, and pkg-config".to_owned(),
            Self::Node => format!("Node.js {NODE} or newer, and npm"),
            Self::Python => "Python with venv".to_owned(),
            Self::Network => "ip, nft and wget".to_owned(),
            Self::Prometheus => "prometheus and promtool".to_owned(),
            Self::Containers => "containerd, docker, runc and podman".to_owned(),
            Self::Guests => "the programs that guests are booted with".to_owned(),
        }
    }

    fn packages(self, family: Family) -> &'static [&'static str] {
        use Family::{Alpine, Arch, Debian, Fedora, Suse};
        match (self, family) {
            (Self::CCompiler, Debian) => &["gcc", "libc6-dev"],
            (Self::CCompiler, Fedora | Arch | Suse) => &["gcc"],
            (Self::CCompiler, Alpine) => &["build-base"],
            (Self::Llvm, Debian) => &["llvm-22-dev"],
            (Self::Llvm, Fedora) => &["llvm-devel"],
            (Self::Llvm, Arch) => &["llvm"],
            (Self::Llvm, Alpine) => &["llvm22-dev"],
            (Self::Llvm, Suse) => &["llvm22-devel"],
            (Self::OpenSsl, Debian) => &["libssl-dev", "pkg-config"],
            (Self::OpenSsl, Fedora) => &["openssl-devel", "pkgconf-pkg-config"],
            (Self::OpenSsl, Arch) => &["openssl", "pkgconf"],
            (Self::OpenSsl, Alpine) => &["openssl-dev", "pkgconf"],
            (Self::OpenSsl, Suse) => &["libopenssl-devel", "pkg-config"],
            (Self::Node, Fedora) => &["nodejs", "nodejs-npm"],
            (Self::Node, Debian | Arch | Alpine) => &["nodejs", "npm"],
            (Self::Node, Suse) => &["nodejs-default", "npm-default"],
            (Self::Python, Debian) => &["python3", "python3-venv"],
            (Self::Python, Fedora | Alpine | Suse) => &["python3"],
            (Self::Python, Arch) => &["python"],
            (Self::Network, Fedora) => &["iproute", "nftables", "wget"],
            (Self::Network, _) => &["iproute2", "nftables", "wget"],
            (Self::Prometheus, Alpine) => &["prometheus"],
            (Self::Prometheus, Fedora) => &["golang-github-prometheus"],
            (Self::Prometheus, Suse) => &["golang-github-prometheus-prometheus"],
            // Installed, it would be a server of this host: see below.
            (Self::Prometheus, _) => &["prometheus"],
            // What runs as a service elsewhere is started by the tests themselves, with folders of their own.
            (Self::Containers, Debian) => &["containerd", "docker.io", "runc", "podman"],
            (Self::Containers, _) => &["containerd", "docker", "runc", "podman"],
            // The guest's own emulator is fetched beside the system's and borrows the libraries of this one.
            (Self::Guests, Debian) => &["qemu-system-x86", "busybox-static", "cpio", "kmod", "xz-utils"],
            (Self::Guests, _) => &[],
        }
    }
}

/// Sees whether `need` is there and installs it where that can be done.
pub fn provide(need: &Need) -> Result<Found> {
    if need.is_there() {
        return Ok(Found::Present);
    }
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let what = need.name();
    let packages = match family(&release) {
        Some(Family::Debian) => need.packages(Family::Debian),
        Some(other) if !need.packages(other).is_empty() => {
            bail!("{what}: missing here; install {} and start this again", need.packages(other).join(" "));
        }
        _ => bail!("{what}: missing here, and this can be installed on Debian only: {}", debian(*need)),
    };
    if *need == Need::Prometheus {
        Prometheus::find_or_fetch(&workspace::target()?)?;
        return Ok(Found::Installed);
    }
    apt_install(packages)?;
    if !need.is_there() {
        bail!("{what}: this release's {} are not enough; install it from elsewhere", packages.join(" and "));
    }
    Ok(Found::Installed)
}

fn node_release() -> Option<u32> {
    let version = process::output(Command::new("node").arg("--version")).ok()?;
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn debian(need: Need) -> String {
    need.packages(Family::Debian).join(" ")
}

fn family(os_release: &str) -> Option<Family> {
    let value = |key: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    let (id, like) = (value("ID"), value("ID_LIKE"));
    std::iter::once(id.as_str()).chain(like.split_whitespace()).find_map(|name| match name {
        "debian" | "ubuntu" => Some(Family::Debian),
        "fedora" | "rhel" | "centos" => Some(Family::Fedora),
        "arch" => Some(Family::Arch),
        "alpine" => Some(Family::Alpine),
        "suse" | "opensuse" => Some(Family::Suse),
        _ => None,
    })
}

/// Installs by `apt-get`. Its lists may be old or absent: they are fetched once when a first attempt fails.
fn apt_install(packages: &[&str]) -> Result<()> {
    println!("setup: apt-get install {}", packages.join(" "));
    if process::output(&mut apt(&["install", "--no-install-recommends"], packages)).is_ok() {
        return Ok(());
    }
    process::output(&mut apt(&["update"], &[]))?;
    let Err(refusal) = process::output(&mut apt(&["install", "--no-install-recommends"], packages)) else {
        return Ok(());
    };
    if packages == Need::Llvm.packages(Family::Debian) {
        bail!(
            "this release has no LLVM {LLVM}; add the repository of apt.llvm.org and start this again ({refusal})"
        );
    }
    Err(refusal)
}

fn apt(verb: &[&str], packages: &[&str]) -> Command {
    let mut command = process::as_root("env");
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y"]).args(verb).args(packages);
    command
}

#[cfg(test)]
mod tests {
    use super::{Family, family};

    #[test]
    fn a_family_is_known_by_its_name_or_by_what_it_is_like() {
        assert_eq!(family("ID=debian\n"), Some(Family::Debian));
        assert_eq!(
            family("NAME=\"Linux Mint\"\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"),
            Some(Family::Debian)
        );
        assert_eq!(family("ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\n"), Some(Family::Suse));
        assert_eq!(family("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), Some(Family::Fedora));
        assert_eq!(family("VERSION_ID=debian\n"), None, "another key that ends in ID");
        assert_eq!(family(""), None);
    }
}
