//! Prints the records of this host, without payload, for a number of seconds; at the end what each process
//! received and sent on each stream, as a length, a checksum, and the bytes that are missing.

use std::collections::BTreeMap;
use std::time::Duration;

use mcp_observer::capture::kernel::{KernelSource, Options};
use mcp_observer::pipeline::input::{EventBody, Input};

fn table() -> [u32; 256] {
    std::array::from_fn(|i| {
        (0..8).fold(i as u32, |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 })
    })
}

fn crc32(table: &[u32; 256], crc: u32, data: &[u8]) -> u32 {
    !data.iter().fold(!crc, |crc, &b| crc >> 8 ^ table[(crc as u8 ^ b) as usize])
}

#[derive(Default)]
struct Flow {
    next: u64,
    crc: u32,
    recorded: u64,
    missing: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds: u64 = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(5);
    let ring: u32 = std::env::args().nth(2).and_then(|s| s.parse().ok()).unwrap_or(64 << 20);
    let started = std::time::Instant::now();
    let mut source = KernelSource::start(Options { ring_bytes: ring, ..Options::default() })?;
    eprintln!("{:?} after {:?}", source.facts(), started.elapsed());
    let until = std::time::Instant::now() + Duration::from_secs(seconds);
    let mut flows: BTreeMap<(u32, &str, u64), Flow> = BTreeMap::new();
    let mut wakes = 0;
    let table = table();
    while std::time::Instant::now() < until {
        source.wait(Some(Duration::from_millis(200))).await;
        wakes += 1;
        source.drain(&mut |record| {
            let h = record.header;
            match Input::decode(&h, record.payload) {
                Ok(Input::Seen(event)) => match event.body {
                    EventBody::Bytes { stream, direction, position, moved, data } => {
                        let name = if h.kind == 2 { "received" } else { "sent" };
                        let flow = flows.entry((h.process.pid, name, stream.0)).or_default();
                        if position != flow.next {
                            flow.missing += position.wrapping_sub(flow.next);
                        }
                        flow.next = position + moved;
                        flow.recorded += data.len() as u64;
                        flow.crc = crc32(&table, flow.crc, data);
                        println!(
                            "{} pid {} {:?} stream {:x} at {} moved {} recorded {}",
                            h.at_ns,
                            h.process.pid,
                            direction,
                            stream.0,
                            position,
                            moved,
                            data.len()
                        );
                    }
                    body => println!("{} pid {} {:x} {:?}", h.at_ns, h.process.pid, h.stream, body),
                },
                other => println!("{other:?}"),
            }
        });
    }
    for ((pid, name, stream), flow) in flows {
        println!(
            "FLOW {pid} {name} {stream:x} len {} recorded {} crc {} missing {}",
            flow.next, flow.recorded, flow.crc, flow.missing
        );
    }
    eprintln!("{wakes} wakes");
    Ok(())
}
