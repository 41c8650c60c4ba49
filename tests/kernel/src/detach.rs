//! What an observer leaves behind when it ends: nothing, however it ends, and nobody notices.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use aya::programs::{loaded_links, loaded_programs};

use crate::check::{CAPTURE, Settings};
use crate::observer::Observer;
use crate::release;

/// Ends an observer in each way while others use what it has hooked.
pub fn run(settings: &Settings) -> Result<()> {
    let dir = settings.dir.join("detach");
    std::fs::create_dir_all(&dir)?;
    let library = TlsUser::start()?;
    let traffic = Traffic::default();
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| traffic.flow());
        let ended = [Observer::interrupt, Observer::kill].into_iter().try_for_each(|end| {
            let before = Traces::none(&library)?;
            let file = dir.join(CAPTURE);
            let mut observer = Observer::record(&settings.observer, &settings.mode, &file, &[])?;
            let during = Traces::of(&observer, &library)?;
            during.ensure_attached()?;
            traffic.ensure_moving()?;
            end(&mut observer)?;
            during.ensure_gone(&before, &library)?;
            traffic.ensure_moving()
        });
        traffic.over.store(true, Ordering::Relaxed);
        worker.join().map_err(|_| anyhow::anyhow!("the traffic panicked"))?.context("traffic")?;
        ended
    })?;
    println!("nothing stays of an observer that was interrupted, nor of one that was killed");
    Ok(())
}

/// What shows of an observer: what it holds, and what anybody can see of it in a file and in a process.
#[derive(Debug)]
struct Traces {
    /// Numbers of the programs that it has loaded.
    programs: BTreeSet<u32>,
    /// Numbers of its links.
    links: BTreeSet<u32>,
    /// Probes that were made through the trace files, whoever did.
    events: Vec<String>,
    /// The code of a TLS library as a process has it: a probe is a breakpoint in there.
    code: Vec<u8>,
    /// The same in its file.
    unprobed: Vec<u8>,
}

impl Traces {
    /// How it looks with nobody that observes.
    fn none(library: &TlsUser) -> Result<Self> {
        let (code, unprobed) = library.code()?;
        Ok(Self { programs: BTreeSet::new(), links: BTreeSet::new(), events: events(), code, unprobed })
    }

    fn of(observer: &Observer, library: &TlsUser) -> Result<Self> {
        let mut traces = Self::none(library)?;
        for entry in std::fs::read_dir(format!("/proc/{}/fdinfo", observer.pid()))? {
            let Ok(facts) = std::fs::read_to_string(entry?.path()) else { continue }; // closed meanwhile
            let number = |key: &str| -> Option<u32> {
                let value = facts.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
                value.and_then(|value| value.trim().parse().ok())
            };
            traces.programs.extend(number("prog_id").filter(|_| number("link_id").is_none()));
            traces.links.extend(number("link_id"));
        }
        Ok(traces)
    }

    /// Checks that the observer shows, or its absence would show nothing later.
    fn ensure_attached(&self) -> Result<()> {
        let loaded: BTreeSet<_> =
            loaded_programs().filter_map(Result::ok).map(|program| program.id()).collect();
        ensure!(!self.programs.is_empty(), "the observer holds no program");
        ensure!(self.programs.is_subset(&loaded), "the kernel does not list the observer's programs");
        let probes = release::of_this_kernel()? >= LIBRARIES;
        ensure!(!probes || self.code != self.unprobed, "no library function was probed");
        Ok(())
    }

    /// Waits until all is as it was before. The kernel takes things apart after the last use of them, which is later
    /// than the end of the process.
    fn ensure_gone(&self, before: &Self, library: &TlsUser) -> Result<()> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            // One may go between being listed and being looked at.
            let loaded = loaded_programs().filter_map(Result::ok).map(|program| program.id());
            let programs: Vec<_> = loaded.filter(|id| self.programs.contains(id)).collect();
            let linked = loaded_links().filter_map(Result::ok).map(|link| link.id());
            let links: Vec<_> = linked.filter(|id| self.links.contains(id)).collect();
            let (events, code) = (events(), library.code()?.0);
            // Somebody else may observe too, all the time or no longer.
            let unprobed = code == before.code || code == before.unprobed;
            if programs.is_empty() && links.is_empty() && events == before.events && unprobed {
                return Ok(());
            }
            if Instant::now() > deadline {
                let probed = code.iter().zip(&before.unprobed).filter(|(now, file)| now != file).count();
                bail!(
                    "still there: programs {programs:?}, links {links:?}, {events:?}, {probed} bytes of probes"
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The probes that the trace files list.
fn events() -> Vec<String> {
    let folders = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
    let files = folders.into_iter().flat_map(|folder| {
        ["uprobe_events", "kprobe_events"].map(|file| std::fs::read_to_string(format!("{folder}/{file}")))
    });
    files.filter_map(Result::ok).flat_map(|text| lines(&text)).collect()
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// A process that has a TLS library and does nothing with it.
struct TlsUser {
    child: Child,
    _input: ChildStdin,
}

impl TlsUser {
    fn start() -> Result<Self> {
        let mut python = Command::new("python3");
        python.args(["-c", "import ssl, sys; print('ready', flush=True); sys.stdin.read()"]);
        let mut child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("python3")?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let user = Self { child, _input: input.context("no input")? };
        let mut line = String::new();
        BufReader::new(output.context("no output")?).read_line(&mut line)?;
        ensure!(line.trim() == "ready", "python3 has no module ssl");
        Ok(user)
    }

    /// The code of the library as it is in the process's memory, and as it is in the file.
    fn code(&self) -> Result<(Vec<u8>, Vec<u8>)> {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.child.id()))?;
        let line = maps.lines().find(|line| line.contains("libssl") && line.contains(" r-xp "));
        let words: Vec<_> = line.context("python3 has no libssl")?.split_whitespace().collect();
        let [range, _, offset, .., path] = words[..] else { bail!("no path") };
        let (from, to) = range.split_once('-').context("no range")?;
        let number = |text: &str| u64::from_str_radix(text, 16);
        let len = usize::try_from(number(to)? - number(from)?)?;
        let memory = format!("/proc/{}/mem", self.child.id());
        let in_file = part(Path::new(path), number(offset)?, len)?;
        Ok((part(Path::new(&memory), number(from)?, len)?, in_file))
    }
}

/// At most `len` bytes of a file; what is mapped behind its end is zero.
fn part(path: &Path, from: u64, len: usize) -> Result<Vec<u8>> {
    let mut file = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::with_capacity(len);
    file.take(len as u64).read_to_end(&mut bytes)?;
    bytes.resize(len, 0);
    Ok(bytes)
}

impl Drop for TlsUser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes that go to and fro all the time.
#[derive(Default)]
struct Traffic {
    rounds: AtomicU64,
    over: AtomicBool,
}

impl Traffic {
    /// Sends calls to itself and checks what arrives.
    fn flow(&self) -> Result<()> {
        let (mut reader, mut writer) = std::io::pipe()?;
        while !self.over.load(Ordering::Relaxed) {
            let round = self.rounds.load(Ordering::Relaxed);
            let line = format!(r#"{{"jsonrpc":"2.0","id":{round},"method":"ping"}}"#) + "\n";
            writer.write_all(line.as_bytes())?;
            let mut arrived = vec![0; line.len()];
            reader.read_exact(&mut arrived)?;
            ensure!(arrived == line.as_bytes(), "other bytes arrived than were sent");
            self.rounds.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    fn ensure_moving(&self) -> Result<()> {
        let (begin, deadline) = (self.rounds.load(Ordering::Relaxed), Instant::now() + DEADLINE);
        while self.rounds.load(Ordering::Relaxed) < begin + ROUNDS {
            ensure!(Instant::now() < deadline, "the traffic stands still");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// Kernels before this one cannot tell a program which of its probes was hit, and libraries are not probed there.
const LIBRARIES: (u32, u32) = (5, 15);
/// Enough to be sure that something moves.
const ROUNDS: u64 = 50;
const DEADLINE: Duration = Duration::from_secs(60);
