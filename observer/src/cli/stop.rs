//! SIGINT and SIGTERM: a clean end, within a bounded time.

use std::future::Future;
use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::error::Error;

/// For printing and exporting what is there, and for taking off the probes, which waits for all processors of a busy
/// machine several times. Only an output that nobody reads any more takes longer.
const TIME_TO_END: Duration = Duration::from_secs(15);

/// Resolves when the user asks for the end.
#[derive(Debug)]
pub struct Stop(oneshot::Receiver<()>);

impl Stop {
    /// Takes the signals over, on a thread of its own: it must end the process even where the agent hangs in a
    /// write to a pipe that nobody reads.
    pub fn listen() -> Result<Self, Error> {
        let failed = |source| Error::Io { act: "listen to signals".into(), source };
        let (asked, stop) = oneshot::channel();
        let (registered, is_registered) = mpsc::channel();
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || attend(asked, registered))
            .map_err(failed)?;
        is_registered.recv().map_err(io::Error::other).flatten().map_err(failed)?;
        Ok(Self(stop))
    }

    /// The same, or `duration` from now, whichever comes first.
    pub fn or_after(self, duration: Option<Duration>) -> impl Future<Output = ()> {
        let bound = async move {
            match duration {
                Some(duration) => tokio::time::sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        async move {
            tokio::select! {
                _ = self.0 => {}
                () = bound => {}
            }
        }
    }
}

fn attend(asked: oneshot::Sender<()>, registered: mpsc::Sender<io::Result<()>>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(registered.send(Err(error))),
    };
    runtime.block_on(async {
        let mut signals = match Signals::register() {
            Ok(signals) => signals,
            Err(error) => return drop(registered.send(Err(error))),
        };
        drop(registered.send(Ok(())));
        signals.next().await;
        // Fails where the agent has ended by itself: then the process does so in a moment.
        let _ = asked.send(());
        let _ = tokio::time::timeout(TIME_TO_END, signals.next()).await;
        super::tell(format_args!("error: ended before everything was written"));
        std::process::exit(1);
    });
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn register() -> io::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
