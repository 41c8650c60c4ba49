//! Names of the host's users, by its `/etc/passwd` and nothing else: no name service is asked, which might wait for a
//! network.

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::root::HostRoot;

/// The names, read again when the file has changed.
#[derive(Debug)]
pub struct Users {
    root: HostRoot,
    names: FxHashMap<u32, String>,
    changed: Option<i64>,
    look_at: Option<Instant>,
}

const FILE: &str = "/etc/passwd";
/// A longer file is not taken.
const MOST_BYTES: u64 = 4 << 20;
const LOOK_EVERY: Duration = Duration::from_secs(60);

impl Users {
    /// The users of this host.
    pub fn new(root: HostRoot) -> Self {
        Self { root, names: FxHashMap::default(), changed: None, look_at: None }
    }

    /// The name of the user with this number.
    pub fn name(&mut self, uid: u32) -> Option<String> {
        let now = Instant::now();
        if self.look_at.is_none_or(|at| at <= now) {
            self.look_at = Some(now + LOOK_EVERY);
            self.look();
        }
        self.names.get(&uid).cloned()
    }

    fn look(&mut self) {
        let changed = self.root.changed(FILE);
        if changed != self.changed {
            self.changed = changed;
            let text = self.root.read(FILE, MOST_BYTES).unwrap_or_default();
            self.names = names(&String::from_utf8_lossy(&text));
        }
    }
}

/// The first name of each number, as the C library takes it.
fn names(text: &str) -> FxHashMap<u32, String> {
    let mut names = FxHashMap::default();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(_), Some(Ok(uid))) =
            (fields.next(), fields.next(), fields.next().map(str::parse))
            && !name.is_empty()
        {
            names.entry(uid).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_number_counts() {
        let text = "root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\n# comment\n+@nis\nweb:x:1000\n:x:7:\n";
        let names = names(text);
        assert_eq!(names.get(&0).map(String::as_str), Some("root"));
        assert_eq!(names.get(&1000).map(String::as_str), Some("web"));
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn this_host_has_its_root() {
        assert_eq!(Users::new(HostRoot::default()).name(0).as_deref(), Some("root"));
    }
}
