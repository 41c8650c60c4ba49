//! What the demonstration prints at its end: the calls, a table of latencies, and the metrics of the tools.

use std::collections::{BTreeMap, BTreeSet};

use super::account::{Account, Call};
use crate::agent::Metrics;

/// How the peers' server calls itself, as a label.
pub const SERVER_LABEL: &str = "server=\"peer-server\"";
/// How many of the calls that were not seen are named; the closing line has their number.
const MOST_MISSED: usize = 10;

/// The calls in the order in which they ended; equal neighbours share a line.
pub fn calls(account: &Account) {
    println!("\nCalls seen");
    println!("{:<28} {:<16} {:<10} {:>6} {:>10}", "transport", "call", "outcome", "times", "ms each");
    for group in account.seen.chunk_by(|one, next| label(one) == label(next)) {
        let (transport, call, outcome) = label(&group[0]);
        let times: Vec<f64> = group.iter().filter_map(duration).collect();
        let mean = if times.is_empty() {
            "-".to_owned()
        } else {
            ms(times.iter().sum::<f64>() / times.len() as f64)
        };
        println!("{transport:<28} {call:<16} {outcome:<10} {:>6} {mean:>10}", group.len());
    }
    for key in account.missed().take(MOST_MISSED) {
        let subject = if key.tool.is_empty() { &key.method } else { &key.tool };
        println!("NOT SEEN: {subject} with id {} of the server with pid {}", key.id, key.server);
    }
}

/// Per tool: how often, how long, and how much of that was spent in the server.
pub fn latencies(account: &Account) {
    let mut tools: BTreeMap<&str, Vec<&Call>> = BTreeMap::new();
    for call in account.seen.iter().filter(|call| !call.key.tool.is_empty()) {
        tools.entry(&call.key.tool).or_default().push(call);
    }
    println!("\nLatency by tool, ms");
    let head = ["tool", "calls", "p50", "p95", "max", "in server", "between"];
    println!(
        "{:<10} {:>6} {:>10} {:>10} {:>10} {:>10} {:>10}",
        head[0], head[1], head[2], head[3], head[4], head[5], head[6]
    );
    for (tool, calls) in tools {
        let mut times: Vec<f64> = calls.iter().filter_map(|call| duration(call)).collect();
        times.sort_by(f64::total_cmp);
        let columns = [quantile(&times, 0.5), quantile(&times, 0.95), quantile(&times, 1.0)];
        let [p50, p95, max] = columns.map(|value| value.map_or("-".to_owned(), ms));
        let (server, between) = server_share(&calls).map_or(("-".to_owned(), "-".to_owned()), |share| {
            (format!("{:.0} %", share * 100.0), format!("{:.0} %", (1.0 - share) * 100.0))
        });
        println!("{tool:<10} {:>6} {p50:>10} {p95:>10} {max:>10} {server:>10} {between:>10}", calls.len());
    }
}

/// The lines of `/metrics` that tell of these tools. Histograms are cut to their sums and counts, and labels that
/// say nothing are left out.
pub fn metrics(metrics: &Metrics, account: &Account) {
    println!("\n/metrics, without empty labels and the buckets of histograms");
    let tools = account.seen.iter().map(|call| &call.key.tool).filter(|tool| !tool.is_empty());
    let labels: BTreeSet<_> = tools.map(|tool| format!("tool=\"{tool}\"")).collect();
    let names: BTreeSet<_> = labels.iter().map(|label| label.replace("tool=", "tool_name=")).collect();
    let of_tools = metrics.samples().filter(|line| {
        !line.contains("_bucket{") && labels.union(&names).any(|label| line.contains(label.as_str()))
    });
    of_tools.for_each(|line| println!("{}", without_empty_labels(line)));
}

/// A label's value may hold anything, but no tool of the demonstration has a name with a comma in it.
fn without_empty_labels(line: &str) -> String {
    let Some((name, rest)) = line.split_once('{') else { return line.to_owned() };
    let Some((labels, value)) = rest.rsplit_once('}') else { return line.to_owned() };
    let full: Vec<_> = labels.split(',').filter(|label| !label.ends_with("=\"\"")).collect();
    format!("{name}{{{}}}{value}", full.join(","))
}

fn label(call: &Call) -> (&str, &str, &str) {
    let subject = if call.key.tool.is_empty() { &call.key.method } else { &call.key.tool };
    (&call.transport, subject, &call.outcome)
}

fn duration(call: &Call) -> Option<f64> {
    call.client_ms.or(call.server_ms)
}

/// Which part of the clients' time the servers had, over the calls where both are known.
fn server_share(calls: &[&Call]) -> Option<f64> {
    let both = || calls.iter().filter_map(|call| Some((call.client_ms?, call.server_ms?)));
    let client: f64 = both().map(|(client, _)| client).sum();
    let server: f64 = both().map(|(_, server)| server).sum();
    (client > 0.0).then(|| server / client)
}

/// The smallest value that `part` of the sorted values do not exceed.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

fn ms(value: f64) -> String {
    format!("{value:.2}")
}

#[cfg(test)]
mod tests {
    use super::{quantile, without_empty_labels};

    #[test]
    fn labels_that_say_nothing_are_left_out() {
        assert_eq!(without_empty_labels("a{b=\"\",c=\"d\",e=\"\"} 1"), "a{c=\"d\"} 1");
        assert_eq!(without_empty_labels("a 1"), "a 1");
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let sorted: Vec<f64> = (1..=20).map(f64::from).collect();
        let values = [0.5, 0.95, 1.0].map(|part| quantile(&sorted, part));
        assert_eq!(values, [Some(10.0), Some(19.0), Some(20.0)]);
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[4.0], 0.5), Some(4.0));
    }
}
