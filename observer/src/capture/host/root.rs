//! The files of the host, as the host names them, also where the agent itself runs in a container.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Dir, Mode, OFlags, ResolveFlags, open, openat2};

/// The root of the host's files.
///
/// It is the root of process 1, which an agent with the host's processes before its eyes (`hostPID`) reaches without
/// any mount, and where all of the host's mounts are, the kubelet's volumes too. Links in it, also absolute ones, are
/// followed within it: a link on the host must not lead into the agent's own container.
#[derive(Clone, Debug)]
pub struct HostRoot(Option<Arc<OwnedFd>>);

impl HostRoot {
    /// The host's root by `folder`, or else by process 1, or else the agent's own.
    pub fn new(folder: Option<&Path>) -> Self {
        let usual = ["/proc/1/root", "/"].map(PathBuf::from);
        let folders = folder.map_or(usual.to_vec(), |folder| vec![folder.to_owned()]);
        let opened = folders.iter().find_map(|folder| {
            open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
        });
        Self(opened.map(Arc::new))
    }

    /// What is in a file, if it is not longer than that.
    ///
    /// # Errors
    /// There is no such file, or it is longer, or may not be read.
    pub fn read(&self, path: &str, most: u64) -> io::Result<Vec<u8>> {
        let file = File::from(self.open(path, OFlags::RDONLY | OFlags::NONBLOCK)?);
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = Vec::new();
        file.take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    }

    /// The names in a folder, none where there is no such folder.
    pub fn names(&self, path: &str) -> Vec<String> {
        let folder = self.open(path, OFlags::RDONLY | OFlags::DIRECTORY).and_then(|it| Ok(Dir::new(it)?));
        let entries = folder.into_iter().flatten().flatten().take(NAMES_MAX);
        let names = entries.filter_map(|entry| Some(entry.file_name().to_str().ok()?.to_owned()));
        names.filter(|name| ![".", ".."].contains(&name.as_str())).collect()
    }

    /// Whether there is something.
    pub fn has(&self, path: &str) -> bool {
        self.open(path, OFlags::PATH).is_ok()
    }

    /// When a file was changed, in seconds.
    pub fn changed(&self, path: &str) -> Option<i64> {
        let file = self.open(path, OFlags::PATH).ok()?;
        Some(rustix::fs::fstat(&file).ok()?.st_mtime)
    }

    /// A path by which this process can connect to a socket for as long as it keeps what comes with it.
    pub fn socket(&self, path: &str) -> io::Result<(PathBuf, OwnedFd)> {
        let socket = self.open(path, OFlags::PATH)?;
        Ok((format!("/proc/self/fd/{}", socket.as_raw_fd()).into(), socket))
    }

    fn open(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let root = self.0.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let path = path.trim_start_matches('/');
        Ok(openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT)?)
    }
}

impl Default for HostRoot {
    fn default() -> Self {
        Self::new(None)
    }
}

/// Entries of a folder that are looked at.
const NAMES_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_absolute_link_stays_within_the_root() {
        let root = std::env::temp_dir().join(format!("host-root-{}", std::process::id()));
        fs::create_dir_all(root.join("data/docker")).unwrap();
        fs::create_dir_all(root.join("var/lib")).unwrap();
        fs::write(root.join("data/docker/name"), "web").unwrap();
        std::os::unix::fs::symlink("/data/docker", root.join("var/lib/docker")).unwrap();
        std::os::unix::fs::symlink("../../../../../../etc/passwd", root.join("data/out")).unwrap();
        let host = HostRoot::new(Some(&root));
        assert_eq!(host.read("/var/lib/docker/name", 3).unwrap(), b"web");
        assert_eq!(host.names("/var/lib/docker"), ["name"]);
        assert!(host.has("var/lib") && !host.has("etc"));
        assert!(host.read("/data/out", 1 << 20).is_err(), "it names a file outside");
        assert!(host.read("/var/lib/docker/name", 2).is_err(), "it is too long");
        assert!(host.read("/var/lib", 1).is_err(), "it is a folder");
        fs::remove_dir_all(root).unwrap();
    }
}
