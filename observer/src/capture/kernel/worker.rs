//! Attaches probes to libraries, in a thread of its own: reading a large program takes time, and detaching more.
//!
//! In: what to look at. Out: records of libraries and blind spots. Each file is looked at once, and let go of when
//! nobody uses it any more.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::{HashMap, MapData};
use aya::programs::uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLinkId, UProbeScope};
use aya::programs::{ProgramError, UProbe};
use aya::sys::{UProbeMultiFeature, is_uprobe_multi_supported};
use observer_common::process::ProcessKey;
use observer_common::record::RecordKind;
use observer_common::settings::{Cookie, TlsFunction};
use rustc_hash::FxHashSet;

use super::attach::{Job, Report, Settled};
use super::mode::chain;
use super::probed::{Host, ProbedFile};
use super::ring::{map_error, take_map};
use crate::capture::host::libraries::{CodeFile, FileVersion, Look, likely, mapping_at, mappings};
use crate::capture::host::processes;
use crate::capture::tls::finder::{self, Place};
use crate::capture::tls::unread;
use crate::error::Error;
use crate::pipeline::input::{BlindSpotFacts, LibraryFacts};

/// Files that are remembered.
const FILES_MAX: usize = 65_536;
/// Processes that are remembered as told of.
const TOLD_MAX: usize = 65_536;
/// Between two looks at who uses the files with probes. A look costs one file of `/proc` for each of them.
const LET_GO_EVERY: Duration = Duration::from_secs(10);

/// Everything that has to do with probes in libraries.
pub(super) struct Worker {
    ebpf: Ebpf,
    entry: &'static str,
    exit: &'static str,
    feature: Option<&'static str>,
    /// Why nothing can be attached.
    refused: Option<String>,
    files: HashMap<MapData, u64, u8>,
    looked_at: FxHashSet<FileVersion>,
    probed: Vec<ProbedFile<Links>>,
    /// Processes whose TLS was told to be unread.
    told: FxHashSet<ProcessKey>,
    reports: Sender<Report>,
    /// Probes that are attached now.
    pub probes: Arc<AtomicUsize>,
}

/// The links of one library in one file: of its returns, and of its entries.
type Links = Vec<[Option<UProbeLinkId>; 2]>;

impl Worker {
    /// Loads the programs, and attaches nothing yet.
    pub fn new(mut ebpf: Ebpf, by_loop: bool, probes: bool, reports: Sender<Report>) -> Result<Self, Error> {
        let files =
            HashMap::try_from(take_map(&mut ebpf, "FILES")?).map_err(|error| map_error("FILES", &error))?;
        let multi = is_uprobe_multi_supported(UProbeMultiFeature::LinkCreation).unwrap_or(false);
        let (entry, exit) = match (multi, by_loop) {
            (true, _) => ("tls_entry_multi", "tls_exit_multi"),
            (false, true) => ("tls_entry", "tls_exit"),
            (false, false) => ("tls_entry", "tls_exit_flat"),
        };
        let mut worker = Self {
            ebpf,
            entry,
            exit,
            feature: Some(if multi { "uprobe_multi" } else { "uprobe" }),
            refused: None,
            files,
            looked_at: FxHashSet::default(),
            probed: Vec::new(),
            told: FxHashSet::default(),
            reports,
            probes: Arc::default(),
        };
        worker.refused = if probes { worker.load().err() } else { Some("switched off".to_owned()) };
        if worker.refused.is_some() {
            worker.feature = None;
        }
        Ok(worker)
    }

    fn load(&mut self) -> Result<(), String> {
        for name in [self.entry, self.exit] {
            self.program(name).and_then(|program| program.load()).map_err(|error| chain(&error))?;
        }
        Ok(())
    }

    fn program(&mut self, name: &str) -> Result<&mut UProbe, ProgramError> {
        self.ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)?.try_into()
    }

    /// Descriptors of the programs, if they are loaded.
    pub fn descriptors(&self) -> Vec<(&'static str, OwnedFd)> {
        let names = [self.entry, self.exit].into_iter();
        let programs = names.filter_map(|name| {
            let descriptor = self.ebpf.program(name)?.fd().ok()?;
            Some((name, descriptor.as_fd().try_clone_to_owned().ok()?))
        });
        programs.collect()
    }

    /// Works until nobody asks any more.
    pub fn run(&mut self, jobs: &Receiver<Job>) {
        if let Some(reason) = self.refused.clone() {
            self.report_refusal(&reason);
        }
        self.look_at_likely();
        let mut let_go_at = Instant::now() + LET_GO_EVERY;
        loop {
            match jobs.recv_timeout(let_go_at.saturating_duration_since(Instant::now())) {
                Ok(job) => self.work(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= let_go_at {
                self.let_go();
                let_go_at = Instant::now() + LET_GO_EVERY;
            }
        }
    }

    fn work(&mut self, job: Job) {
        match job {
            Job::Look(look) => self.look(look),
            Job::LookEverywhere => {
                for pid in processes::all() {
                    self.look(Look::Process { pid });
                }
            }
            Job::Suspect(pid) => self.suspect(pid),
            Job::Settle(answer) => {
                let settled = Settled {
                    libraries: self.probed.iter().map(|file| file.links.len()).sum(),
                    probes: self.probes.load(Ordering::Relaxed),
                    feature: self.feature,
                };
                // Who asked may have gone.
                let _ = answer.send(settled);
            }
        }
    }

    /// Detaches from files that nobody uses any more.
    fn let_go(&mut self) {
        let now = Instant::now();
        let is_over = |file: &mut ProbedFile<Links>| file.look(now, &Host);
        if self.probed.iter_mut().map(is_over).filter(|over| *over).count() == 0 {
            return;
        }
        // Whoever maps one from here on is told of, and looked at when this is done; whoever did before is seen now.
        let known: Vec<u64> = self.files.keys().filter_map(Result::ok).collect();
        known.iter().for_each(|file| drop(self.files.remove(file)));
        let (over, kept) = std::mem::take(&mut self.probed)
            .into_iter()
            .map(|mut file| (is_over(&mut file), file))
            .partition::<Vec<_>, _>(|(over, _)| *over);
        self.probed = kept.into_iter().map(|(_, file)| file).collect();
        for (_, file) in over {
            self.looked_at.remove(&file.version);
            file.links.into_iter().for_each(|links| self.detach(links));
            self.probes.fetch_sub(file.probes, Ordering::Relaxed);
        }
    }

    fn detach(&mut self, links: [Option<UProbeLinkId>; 2]) {
        // Entries first: an entry whose return is not seen would stay in the table.
        for (name, link) in [self.exit, self.entry].into_iter().zip(links).rev() {
            if let (Some(link), Ok(program)) = (link, self.program(name)) {
                // It is gone already if this fails.
                let _ = program.detach(link);
            }
        }
    }

    /// Looks whether a process whose TLS goes by unread has a library with probes, and tells of it if not.
    fn suspect(&mut self, pid: u32) {
        let Some((key, _)) = processes::key(pid) else { return };
        if self.refused.is_some() || self.told.contains(&key) {
            return;
        }
        self.look(Look::Process { pid });
        let mapped = mappings(pid);
        if mapped.is_empty() || self.probed.iter().any(|file| file.is_mapped_by(pid, &Host)) {
            return;
        }
        if self.told.len() >= TOLD_MAX {
            self.told.clear();
        }
        self.told.insert(key);
        let reason = unread::reason(mapped.iter().map(|mapping| mapping.path.as_str()));
        self.report_blind_spot(pid, unread::KIND, &processes::exe(pid).unwrap_or_default(), reason);
    }

    fn look_at_likely(&mut self) {
        for path in likely() {
            if let Ok(file) = CodeFile::at(&path) {
                self.examine(0, file);
            }
        }
    }

    fn look(&mut self, look: Look) {
        match look {
            Look::Program { pid } => {
                if let Ok(file) = CodeFile::program(pid) {
                    self.examine(pid, file);
                }
            }
            Look::Process { pid } => {
                let mut last = None;
                for mapping in mappings(pid) {
                    // A library's mappings stand together.
                    if last.as_ref() != Some(&mapping.file)
                        && let Ok(file) = CodeFile::mapped(pid, &mapping)
                    {
                        self.examine(pid, file);
                    }
                    last = Some(mapping.file);
                }
            }
            Look::Mapping { pid, address, file } => {
                let mapped =
                    mapping_at(pid, address).and_then(|mapping| CodeFile::mapped(pid, &mapping).ok());
                match mapped {
                    Some(mapped) => self.examine(pid, mapped),
                    // Gone already: the kernel tells of the file again when the next process maps it.
                    None => drop(self.files.remove(&file)),
                }
            }
        }
    }

    fn examine(&mut self, pid: u32, file: CodeFile) {
        if self.looked_at.len() >= FILES_MAX {
            self.looked_at.clear();
        }
        let has_probes = self.probed.iter().any(|probed| probed.version == file.version);
        if !self.looked_at.insert(file.version) || has_probes {
            return;
        }
        let (mut links, mut probes) = (Links::new(), 0);
        for found in finder::find(&file.file).unwrap_or_default() {
            let outcome = match &self.refused {
                Some(reason) => Err(reason.clone()),
                None => self.attach(&file.file, found.library as u8, &found.functions),
            };
            match outcome {
                Ok((attached, count)) => {
                    links.push(attached);
                    probes += count;
                    self.report_library(pid, &file.path, &found);
                }
                Err(reason) => self.report_blind_spot(pid, "tls_without_probe", &file.path, reason),
            }
        }
        if !links.is_empty() {
            self.probes.fetch_add(probes, Ordering::Relaxed);
            self.probed.push(ProbedFile::new(file, pid, links, probes));
        }
    }

    /// Attaches entry and return probes through the open file, so that no path is looked up again. Returns their links
    /// and how many they are.
    fn attach(
        &mut self,
        file: &File,
        library: u8,
        places: &[Place],
    ) -> Result<([Option<UProbeLinkId>; 2], usize), String> {
        let target = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
        let point = |place: &Place| UProbeAttachPoint {
            location: UProbeAttachLocation::AbsoluteOffset(place.offset),
            cookie: Some(Cookie { library, function: place.function }.number()),
        };
        let returning = places.iter().filter(|place| place.function != TlsFunction::Free);
        let exits: Vec<_> = returning.map(point).collect();
        let entries: Vec<_> = places.iter().map(point).collect();
        let count = entries.len() + exits.len();
        // Returns first: a return without entry is nothing, an entry without return would stay in the table.
        let mut links = [None, None];
        for (link, (name, points)) in links.iter_mut().zip([(self.exit, exits), (self.entry, entries)]) {
            let attached = self
                .program(name)
                .and_then(|program| program.attach(points, &target, UProbeScope::AllProcesses));
            match attached {
                Ok(attached) => *link = Some(attached),
                Err(error) => {
                    self.detach(links);
                    return Err(chain(&error));
                }
            }
        }
        Ok((links, count))
    }

    fn report_library(&self, pid: u32, path: &str, found: &finder::Found) {
        let facts = LibraryFacts {
            library: found.library.name().to_owned(),
            path: path.to_owned(),
            functions: found.functions.iter().map(|place| place.name.to_owned()).collect(),
        };
        self.report(RecordKind::LibraryFound, pid, serde_json::to_vec(&facts).unwrap_or_default());
    }

    fn report_refusal(&self, reason: &str) {
        let reason = format!("No library can be probed on this kernel: {reason}");
        self.report_blind_spot(0, "tls_without_probe", "", reason);
    }

    fn report_blind_spot(&self, pid: u32, kind: &str, exe: &str, reason: String) {
        let facts = BlindSpotFacts { kind: kind.to_owned(), exe: exe.to_owned(), reason };
        self.report(RecordKind::BlindSpot, pid, serde_json::to_vec(&facts).unwrap_or_default());
    }

    fn report(&self, kind: RecordKind, pid: u32, payload: Vec<u8>) {
        let process = processes::key(pid).map_or_else(ProcessKey::default, |(key, _)| key);
        // The source may have gone; then nobody wants to know.
        let _ = self.reports.send(Report { kind, process, payload });
    }
}
