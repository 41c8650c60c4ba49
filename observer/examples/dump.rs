//! Prints the records of this host, without payload, for a number of seconds.

use std::time::Duration;

use mcp_observer::capture::kernel::{KernelSource, Options};
use mcp_observer::pipeline::input::Input;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds: u64 = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(5);
    let started = std::time::Instant::now();
    let mut source = KernelSource::start(Options::default())?;
    eprintln!("{:?} after {:?}", source.facts(), started.elapsed());
    let until = std::time::Instant::now() + Duration::from_secs(seconds);
    while std::time::Instant::now() < until {
        source.wait(Some(Duration::from_millis(200))).await;
        source.drain(&mut |record| {
            let h = record.header;
            let decoded = Input::decode(&h, record.payload);
            match decoded {
                Ok(Input::Seen(event)) => match event.body {
                    mcp_observer::pipeline::input::EventBody::Bytes {
                        stream,
                        direction,
                        position,
                        moved,
                        data,
                    } => println!(
                        "{} pid {} {:?} stream {:x} at {} moved {} recorded {}",
                        h.at_ns,
                        h.process.pid,
                        direction,
                        stream.0,
                        position,
                        moved,
                        data.len()
                    ),
                    body => println!("{} pid {} {:x} {:?}", h.at_ns, h.process.pid, h.stream, body),
                },
                other => println!("{other:?}"),
            }
        });
    }
    Ok(())
}
