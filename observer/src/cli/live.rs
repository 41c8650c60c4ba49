//! Attaches to the kernel and runs an agent until the user or a bound ends it.

use crate::agent::{Agent, Tally};
use crate::capture::kernel::{KernelSource, Options, StartFacts};
use crate::error::Error;

use super::flags::CaptureFlags;
use super::stop::Stop;

/// Runs the agent that `agent` makes once all probes are attached.
pub fn observe(
    flags: &CaptureFlags,
    agent: impl FnOnce(&KernelSource) -> Result<Agent, Error>,
) -> Result<Tally, Error> {
    let stop = Stop::listen()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Error::Io { act: "start the runtime".into(), source })?;
    runtime.block_on(async {
        let source = KernelSource::start(Options {
            mode: flags.mode(),
            ring_bytes: flags.ring_bytes(),
            host: flags.host(),
            ..Options::default()
        })?;
        let bounds = flags.bounds();
        let agent = agent(&source)?.with_most_calls(bounds.calls);
        agent.observe(source, stop.or_after(bounds.duration)).await
    })
}

/// A line on what was attached.
pub fn tell_attached(facts: &StartFacts) {
    let StartFacts { mode, attached_probes: probes, kernel, .. } = facts;
    super::tell(format_args!("attached: mode {mode}, {probes} probes, kernel {kernel}; Ctrl-C ends"));
}
