//! Files with probes: who maps them, and when the last one has gone.
//!
//! A probe holds its file: one that was deleted keeps its room on the disk, and a file system that was left cannot be
//! unmounted. So a file that nobody maps any more is let go of. One known user is enough to keep it; only when that
//! one is gone is another looked for among all processes.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::capture::host::libraries::{CodeFile, FileVersion, MappedFile, mappings};
use crate::capture::host::processes;

/// How long a file that is still there keeps its probes without a user: programs are often started again.
const UNUSED_FOR: Duration = Duration::from_secs(60);

/// A file with probes, and what detaches them.
pub(super) struct ProbedFile<L> {
    /// Which file.
    pub version: FileVersion,
    /// Its links.
    pub links: L,
    /// How many probes these are.
    pub probes: usize,
    /// As `/proc` names it where it is mapped.
    mapped_as: MappedFile,
    path: String,
    file: File,
    /// Whether it has probes before anyone uses it, for as long as it is the one at its path.
    is_likely: bool,
    user: u32,
    unused_since: Option<Instant>,
}

/// What is asked about the world.
pub(super) trait World {
    /// Whether the process maps the file.
    fn maps(&self, pid: u32, file: &MappedFile) -> bool;
    /// All processes.
    fn processes(&self) -> Vec<u32>;
}

/// This host.
pub(super) struct Host;

impl World for Host {
    fn maps(&self, pid: u32, file: &MappedFile) -> bool {
        pid != 0 && mappings(pid).iter().any(|mapping| mapping.file == *file)
    }

    fn processes(&self) -> Vec<u32> {
        processes::all()
    }
}

impl<L> ProbedFile<L> {
    /// `file` has probes since process `user` was seen with it; 0 if it is only likely to be used.
    pub fn new(file: CodeFile, user: u32, links: L, probes: usize) -> Self {
        let mapped = mappings(user).into_iter().find(|mapping| mapping.path == file.path);
        let mapped_as = mapped.map_or_else(|| file.version.mapped_as(), |mapping| mapping.file);
        let CodeFile { file, path, version } = file;
        Self { version, links, probes, mapped_as, path, file, is_likely: user == 0, user, unused_since: None }
    }

    /// Whether it is this file that the process maps.
    pub fn is_mapped_by(&self, pid: u32, world: &impl World) -> bool {
        world.maps(pid, &self.mapped_as)
    }

    /// Looks whether somebody uses it. Returns whether its time is over.
    pub fn look(&mut self, now: Instant, world: &impl World) -> bool {
        if self.is_kept(world) {
            self.unused_since = None;
            return false;
        }
        let since = *self.unused_since.get_or_insert(now);
        self.is_deleted() || now.duration_since(since) >= UNUSED_FOR
    }

    fn is_kept(&mut self, world: &impl World) -> bool {
        if self.is_likely && CodeFile::at(Path::new(&self.path)).is_ok_and(|it| it.version == self.version) {
            return true;
        }
        if self.is_mapped_by(self.user, world) {
            return true;
        }
        let other = world.processes().into_iter().find(|&pid| self.is_mapped_by(pid, world));
        self.user = other.unwrap_or(0);
        other.is_some()
    }

    fn is_deleted(&self) -> bool {
        self.file.metadata().is_ok_and(|about| about.nlink() == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Users(Vec<u32>);

    impl World for Users {
        fn maps(&self, pid: u32, _: &MappedFile) -> bool {
            self.0.contains(&pid)
        }

        fn processes(&self) -> Vec<u32> {
            self.0.clone()
        }
    }

    const FIRST: u32 = u32::MAX - 1;
    const SECOND: u32 = u32::MAX - 2;

    fn probed(name: &str, user: u32) -> ProbedFile<()> {
        let path = std::env::temp_dir().join(format!("observed-{name}-{}", std::process::id()));
        std::fs::write(&path, name).unwrap();
        ProbedFile::new(CodeFile::at(&path).unwrap(), user, (), 1)
    }

    #[test]
    fn a_file_stays_while_anybody_maps_it() {
        let mut file = probed("used", FIRST);
        let start = Instant::now();
        for second in 0..3 {
            let now = start + second * UNUSED_FOR;
            let users = Users(if second == 0 { vec![FIRST] } else { vec![SECOND] });
            assert!(!file.look(now, &users));
        }
        std::fs::remove_file(&file.path).unwrap();
        assert!(!file.look(start + 4 * UNUSED_FOR, &Users(vec![SECOND])), "a deleted one too");
        assert!(file.look(start + 4 * UNUSED_FOR, &Users(vec![])), "and goes with its last user");
    }

    #[test]
    fn a_file_that_is_still_there_waits_for_the_next_user() {
        let mut file = probed("waits", FIRST);
        let start = Instant::now();
        assert!(!file.look(start, &Users(vec![])));
        assert!(!file.look(start + UNUSED_FOR / 2, &Users(vec![])));
        assert!(!file.look(start + UNUSED_FOR / 2, &Users(vec![SECOND])));
        assert!(!file.look(start + UNUSED_FOR, &Users(vec![])), "counted from the last use");
        assert!(file.look(start + 2 * UNUSED_FOR, &Users(vec![])));
        std::fs::remove_file(&file.path).unwrap();
    }

    #[test]
    fn a_likely_file_stays_until_another_takes_its_path() {
        let mut file = probed("likely", 0);
        let start = Instant::now();
        assert!(!file.look(start, &Users(vec![])));
        assert!(!file.look(start + 10 * UNUSED_FOR, &Users(vec![])));
        std::fs::remove_file(&file.path).unwrap();
        std::fs::write(&file.path, "another").unwrap();
        assert!(file.look(start + 10 * UNUSED_FOR, &Users(vec![])));
        std::fs::remove_file(&file.path).unwrap();
    }
}
