//! Compares what the pipeline says with what truly happened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mcp_observer::pipeline::input::Input;
use mcp_observer::pipeline::observation::{Call, CallDirection, Certainty, Observation, Outcome, Subject};
use mcp_observer::pipeline::time::Timestamp;
use mcp_observer::pipeline::{Pipeline, Settings};

use super::truth::{Truth, World, mark};
use crate::captures::{OwnedRecord, carries_bytes};

/// What the pipeline said.
#[derive(Debug, Default)]
pub struct Seen {
    /// The calls.
    pub calls: Vec<Call>,
    /// Calls that are in flight at the end.
    pub in_flight: u64,
    /// Holes that were told of, faults, and answers without requests.
    pub troubles: BTreeMap<String, u64>,
}

/// Takes records through the pipeline.
pub fn observe<'a>(records: impl IntoIterator<Item = &'a OwnedRecord>) -> Seen {
    let mut pipeline = Pipeline::new(Settings { payloads: true, ..Settings::default() });
    let mut seen = Seen::default();
    let mut now = 0;
    for record in records {
        now = record.header.at_ns;
        pipeline.feed(Input::decode(&record.header, &record.payload).expect("a record of a scenario"));
        drain(&mut pipeline, &mut seen);
    }
    seen.in_flight = pipeline.finish(Timestamp::from_nanos(now + 1));
    drain(&mut pipeline, &mut seen);
    let health = pipeline.health();
    for (stage, cause, count) in health.faults().chain(health.sheds()) {
        *seen.troubles.entry(format!("{} {cause}", stage.name())).or_default() += count;
    }
    seen
}

fn drain(pipeline: &mut Pipeline, seen: &mut Seen) {
    while let Some(observation) = pipeline.next() {
        match observation {
            Observation::Call(call) => seen.calls.push(*call),
            Observation::Loss(loss) => *seen.troubles.entry(loss.cause.into()).or_default() += 1,
            Observation::Unanswerable(answer) => {
                let kind = format!("unanswerable on {:?}", answer.transport);
                *seen.troubles.entry(kind).or_default() += 1;
            }
            _ => {}
        }
    }
    while pipeline.next_verdict().is_some() {}
}

/// Without loss, every call is seen exactly once and right.
///
/// # Errors
/// What is wrong.
pub fn exact(world: &World, seen: &Seen) -> Result<(), String> {
    exact_but_for(world, seen, &BTreeSet::new())?;
    if !seen.troubles.is_empty() {
        return Err(format!("troubles where nothing was lost: {:?}", seen.troubles));
    }
    let in_flight = world.calls.iter().filter(|call| call.outcome.is_none()).count() as u64;
    if seen.in_flight != in_flight {
        return Err(format!("{} calls in flight instead of {in_flight}", seen.in_flight));
    }
    Ok(())
}

/// With losses: sessions that lost nothing are exact; in the others nothing is invented, no answer is credited to
/// another call, and what is missing comes with a loss of bytes that were read, which was counted.
///
/// # Errors
/// What is wrong.
pub fn lossy(world: &World, seen: &Seen, lost: &[&OwnedRecord]) -> Result<u64, String> {
    let session = |record: &&&OwnedRecord| world.sessions.get(&record.header.stream).copied();
    let touched: BTreeSet<usize> = lost.iter().filter_map(|record| session(&record)).collect();
    let unread: BTreeSet<usize> = lost
        .iter()
        .filter(|record| !record.payload.is_empty())
        .filter_map(|record| session(&record))
        .collect();
    exact_but_for(world, seen, &touched)?;
    let mut shown = vec![false; world.calls.len()];
    for call in &seen.calls {
        let may_be = |number: &usize| {
            let truth = &world.calls[*number];
            !shown[*number] && truth.transport == call.transport && is_request_of(world, truth, call)
        };
        let mut candidates: Vec<usize> = (0..world.calls.len()).filter(may_be).collect();
        // Clients of one server may use the same ids at the same time: the request that was sent then comes first.
        let is_later =
            |number: &usize| world.spans[world.calls[*number].request].first_sent != call.at.as_nanos();
        candidates.sort_by_key(is_later);
        let judged: Vec<_> =
            candidates.iter().map(|&number| pair(world, number, &world.calls[number], call)).collect();
        match (judged.iter().position(Result::is_ok), judged.into_iter().next()) {
            (Some(index), _) => shown[candidates[index]] = true,
            (None, Some(wrong)) => return wrong.map(|()| 0),
            (None, None) => return Err(format!("did not happen, or twice: {:?}", Shown(call))),
        }
    }
    let missing: Vec<usize> = (0..shown.len())
        .filter(|number| touched.contains(&world.calls[*number].session))
        .filter(|number| !shown[*number] && world.calls[*number].outcome.is_some())
        .collect();
    if let Some(number) = missing.iter().find(|number| !unread.contains(&world.calls[**number].session)) {
        return Err(format!("call {number} is missing although all that is read was there"));
    }
    if !missing.is_empty() && seen.troubles.is_empty() && seen.in_flight == 0 {
        return Err(format!("{} calls are missing and nothing was counted", missing.len()));
    }
    Ok(missing.len() as u64)
}

fn exact_but_for(world: &World, seen: &Seen, touched: &BTreeSet<usize>) -> Result<(), String> {
    let mut by_time: BTreeMap<(u64, String), Vec<&Call>> = BTreeMap::new();
    for call in &seen.calls {
        by_time.entry((call.at.as_nanos(), format!("{:?}", call.id))).or_default().push(call);
    }
    for (number, truth) in world.calls.iter().enumerate() {
        let key = (world.spans[truth.request].first_sent, format!("{:?}", truth.id));
        let calls = by_time.remove(&key).unwrap_or_default();
        if touched.contains(&truth.session) {
            continue;
        }
        match (calls.as_slice(), truth.outcome) {
            ([], None) => {}
            ([call], Some(_)) => same(world, number, truth, call)?,
            (calls, _) => {
                let request = world.spans[truth.request];
                let alike =
                    seen.calls.iter().filter(|call| call.id == truth.id && *call.method == *truth.method);
                let alike: Vec<_> = alike.map(Shown).collect();
                return Err(format!(
                    "call {number} is shown {} times: {truth:?} {request:?}, alike: {alike:?}",
                    calls.len()
                ));
            }
        }
    }
    match by_time.into_values().next() {
        Some(calls) if touched.is_empty() => Err(format!("did not happen: {:?}", Shown(calls[0]))),
        _ => Ok(()),
    }
}

/// Whether what is shown is exactly this call.
fn same(world: &World, number: usize, truth: &Truth, call: &Call) -> Result<(), String> {
    let fail = |what: &str| Err(format!("call {number}: {what}: {truth:?} is shown as {:?}", Shown(call)));
    let request = world.spans[truth.request];
    if !is_request_of(world, truth, call) {
        return fail("the request");
    }
    if (Some(call.outcome), call.error_code) != (truth.outcome, truth.code) {
        return fail("the end");
    }
    if call.certainty != Certainty::Whole || call.transport != truth.transport {
        return fail("certainty or transport");
    }
    if call.revision.as_deref() != Some(truth.revision) {
        return fail("the revision");
    }
    if call.progress != truth.progress {
        return fail("progress");
    }
    if let Some(answer) = truth.answer.map(|answer| world.spans[answer]) {
        let between = |from: u64, to: u64| Some(Duration::from_nanos(to - from));
        if call.client_duration != between(request.first_sent, answer.last_received) {
            return fail("the client's duration");
        }
        if call.server_duration != between(request.last_received, answer.last_sent) {
            return fail("the server's duration");
        }
        let first =
            truth.first_progress.map_or(answer.first_received, |first| world.spans[first].first_received);
        if truth.outcome != Some(Outcome::HttpError)
            && call.first_answer != between(request.first_sent, first)
        {
            return fail("the first answer");
        }
    }
    pair(world, number, truth, call)
}

/// Whether what is shown as asked is this request: its parties, its name, its mark, and a time at which it was under
/// way.
fn is_request_of(world: &World, truth: &Truth, call: &Call) -> bool {
    let pid = |peer: &mcp_observer::pipeline::observation::Peer| {
        peer.process.as_ref().map(|process| process.id.pid)
    };
    let (asker, asked) = match call.direction {
        CallDirection::ClientToServer => (&call.client, &call.server),
        CallDirection::ServerToClient => (&call.server, &call.client),
    };
    let request = world.spans[truth.request];
    let tool = match &call.subject {
        Some(Subject::Tool(tool)) => Some(&**tool),
        _ => None,
    };
    // What was in a hole is absent; it is never another.
    let is_tool = tool == truth.tool || tool.is_none() && call.certainty != Certainty::Whole;
    is_tool
        && (truth.method, &truth.id, truth.direction) == (&*call.method, &call.id, call.direction)
        && pid(asker).is_none_or(|pid| pid == truth.asker)
        && pid(asked).is_none_or(|pid| pid == truth.asked)
        && (request.first_sent..=request.last_received).contains(&call.at.as_nanos())
}

/// Whether the answer that is shown is the one to this call.
fn pair(world: &World, number: usize, truth: &Truth, call: &Call) -> Result<(), String> {
    let wrong = |what: &str| {
        Err(format!("wrong pair, call {number}, {what}: {truth:?} is shown as {:?}", Shown(call)))
    };
    let marked = |raw: &[u8]| {
        let text = String::from_utf8_lossy(raw);
        let rest = text.split("\"#").nth(1).map(str::to_owned)?;
        rest.split(';').next().and_then(|number| number.parse::<usize>().ok())
    };
    if let Some(other) =
        call.arguments.as_ref().and_then(|raw| marked(raw.reveal())).filter(|other| *other != number)
    {
        return wrong(&format!("arguments of {other}"));
    }
    if let Some(other) =
        call.result.as_ref().and_then(|raw| marked(raw.reveal())).filter(|other| *other != number)
    {
        return wrong(&format!("result of {other}, mark {}", mark(other)));
    }
    if call.outcome == Outcome::RpcError && call.error_code.is_some() && call.error_code != truth.code {
        return wrong("error code");
    }
    if let (Some(answer), Some(duration)) = (truth.answer, call.client_duration) {
        let at = call.at.as_nanos() + duration.as_nanos() as u64;
        let answer = world.spans[answer];
        if at < answer.first_sent {
            return wrong("answered before its answer was sent");
        }
        let is_sent_then = call.at.as_nanos() == world.spans[truth.request].first_sent;
        if call.certainty != Certainty::Inferred && is_sent_then && at != answer.last_received {
            return wrong("answered at another time");
        }
    }
    let is_answered = !matches!(call.outcome, Outcome::Abandoned | Outcome::Cancelled | Outcome::Expired);
    if is_answered && truth.answer.is_none() {
        return wrong("never answered");
    }
    if is_answered && call.certainty == Certainty::Whole && Some(call.outcome) != truth.outcome {
        return wrong("outcome");
    }
    Ok(())
}

/// Whether it can be lost: bytes moved.
pub fn can_be_lost(record: &OwnedRecord) -> bool {
    carries_bytes(record)
}

/// A call without payload.
struct Shown<'a>(&'a Call);

impl std::fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Call { at, method, id, outcome, error_code, client_duration, server_duration, .. } = self.0;
        let Call { first_answer, progress, certainty, transport, revision, .. } = self.0;
        write!(
            f,
            "{method} {id:?} at {at:?} {outcome:?} {error_code:?} {client_duration:?} {server_duration:?} "
        )?;
        write!(f, "{first_answer:?} progress {progress} {certainty:?} {transport:?} {revision:?}")
    }
}
