//! Which files processes run as code, and how to open exactly these.
//!
//! A path is not enough: it may name another file by now, or another one in the process's own mount namespace.
//! `/proc/PID/exe` and `/proc/PID/map_files` open the file that is mapped, even a deleted one.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};

/// Something that may bring new code: what the finder of libraries is to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A process with all that it has mapped.
    Process {
        /// The process.
        pid: u32,
    },
    /// The program that a process runs.
    Program {
        /// The process.
        pid: u32,
    },
    /// One mapping of a process.
    Mapping {
        /// The process.
        pid: u32,
        /// Where the mapping begins.
        address: u64,
        /// The kernel programs' number for the file, by which they know that it was looked at.
        file: u64,
    },
}

/// A mapped file as `/proc` names it: device and inode.
pub type MappedFile = (String, u64);

/// A file, as it was when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileVersion {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// An open file that some process runs.
#[derive(Debug)]
pub struct CodeFile {
    /// The file.
    pub file: File,
    /// Its path as the process names it.
    pub path: String,
    /// Its identity.
    pub version: FileVersion,
}

/// A mapping of code from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    start: u64,
    end: u64,
    /// The file.
    pub file: MappedFile,
    /// Its path as the process names it, with a remark if it was deleted.
    pub path: String,
}

impl FileVersion {
    /// How `/proc` most likely names the file where it is mapped. Some file systems have several numbers for one
    /// device; where the file was seen mapped, that is the truth.
    pub fn mapped_as(&self) -> MappedFile {
        (format!("{:02x}:{:02x}", major(self.device), minor(self.device)), self.inode)
    }
}

impl CodeFile {
    /// The program that a process runs.
    ///
    /// # Errors
    /// The process is gone, or this agent may not look.
    pub fn program(pid: u32) -> io::Result<Self> {
        let link = PathBuf::from(format!("/proc/{pid}/exe"));
        let path = fs::read_link(&link)?.to_string_lossy().into_owned();
        Self::open(&link, path)
    }

    /// The file behind a mapping of a process.
    ///
    /// # Errors
    /// The process is gone, or this agent may not look.
    pub fn mapped(pid: u32, mapping: &Mapping) -> io::Result<Self> {
        let exact = format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end);
        Self::open(Path::new(&exact), mapping.path.clone()).or_else(|error| {
            // Without the capability for `map_files`, the path as the process sees it is second best.
            let path = format!("/proc/{pid}/root{}", mapping.path);
            Self::open(Path::new(&path), mapping.path.clone()).map_err(|_| error)
        })
    }

    /// A file of this host.
    ///
    /// # Errors
    /// There is none.
    pub fn at(path: &Path) -> io::Result<Self> {
        Self::open(path, path.to_string_lossy().into_owned())
    }

    fn open(at: &Path, path: String) -> io::Result<Self> {
        let about = fs::metadata(at)?;
        if !about.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let file = File::open(at)?;
        let about = file.metadata()?;
        let version = FileVersion {
            device: about.dev(),
            inode: about.ino(),
            size: about.size(),
            changed: (about.mtime(), about.mtime_nsec()),
        };
        let path = path.strip_suffix(" (deleted)").map(str::to_owned).unwrap_or(path);
        Ok(Self { file, path, version })
    }
}

/// All mappings of code from files that a process has.
pub fn mappings(pid: u32) -> Vec<Mapping> {
    // Names of files may be any bytes; the lines stay lines.
    let Ok(text) = fs::read(format!("/proc/{pid}/maps")) else { return Vec::new() };
    String::from_utf8_lossy(&text).lines().filter_map(mapping).collect()
}

/// The mapping at an address.
pub fn mapping_at(pid: u32, address: u64) -> Option<Mapping> {
    mappings(pid).into_iter().find(|mapping| (mapping.start..mapping.end).contains(&address))
}

/// One line of `/proc/PID/maps`, if it is code from a file.
fn mapping(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let rights = fields.next()?;
    let _offset = fields.next()?;
    let device = fields.next()?;
    let inode: u64 = fields.next()?.parse().ok()?;
    let path = fields.next()?.trim_start();
    if inode == 0 || rights.as_bytes().get(2) != Some(&b'x') || !path.starts_with('/') {
        return None;
    }
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        file: (device.to_owned(), inode),
        path: path.to_owned(),
    })
}

/// Files of this host that new processes are likely to run TLS from: probes that are there before the process
/// miss nothing of it.
pub fn likely() -> Vec<PathBuf> {
    const FOLDERS: [&str; 8] = [
        "/lib/x86_64-linux-gnu",
        "/usr/lib/x86_64-linux-gnu",
        "/lib/aarch64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/lib64",
        "/usr/lib64",
        "/usr/lib",
        "/usr/local/lib",
    ];
    let libraries = FOLDERS.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let libraries = libraries.filter(|entry| entry.file_name().to_string_lossy().starts_with("libssl"));
    let mut files: Vec<PathBuf> = libraries.map(|entry| entry.path()).collect();
    if let Some(folders) = std::env::var_os("PATH") {
        files.extend(std::env::split_paths(&folders).map(|folder| folder.join("node")));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_code_from_files_only() {
        let code = "7f00-8000 r-xp 00001000 fe:00 42                 /usr/lib/a b.so (deleted)";
        let found = mapping(code).unwrap();
        assert_eq!((found.start, found.end), (0x7f00, 0x8000));
        assert_eq!(found.file, ("fe:00".to_owned(), 42));
        assert_eq!(found.path, "/usr/lib/a b.so (deleted)");
        for other in [
            "7f00-8000 r--p 00001000 fe:00 42                 /usr/lib/a.so",
            "7f00-8000 r-xp 00000000 00:00 0                  [vdso]",
            "7f00-8000 r-xp 00000000 00:00 0 ",
            "",
        ] {
            assert_eq!(mapping(other), None, "{other}");
        }
    }

    #[test]
    fn opens_the_program_of_this_process() {
        let own = CodeFile::program(std::process::id()).unwrap();
        let expected = std::env::current_exe().unwrap();
        assert_eq!(own.path, expected.to_string_lossy());
        assert_eq!(own.version, CodeFile::at(&expected).unwrap().version);
        let mapped = mappings(std::process::id());
        assert!(mapped.iter().any(|mapping| mapping.file == own.version.mapped_as()));
        assert!(mapped.iter().any(|mapping| mapping.path == own.path));
    }
}
