//! Calls in several rounds: what the last one tells, and what cannot be tied.

use super::*;
use crate::pipeline::observation::Rounds;

fn ask(id: u32, tool: &str, more: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"{tool}\",\"_meta\":{{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}}{more}}}}}\n"
    )
}

fn more_input(id: u32, more: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"resultType\":\"input_required\"{more}}}}}\n")
}

const QUESTION: &str = ",\"inputRequests\":{\"city\":{\"method\":\"elicitation/create\",\"params\":{}}}";
const REPLY: &str = ",\"inputResponses\":{\"city\":{\"action\":\"accept\",\"content\":{\"c\":\"x\"}}}";

fn rounds(host: &Host) -> Vec<Option<u32>> {
    host.calls().iter().map(|call| call.links.rounds.map(|rounds| rounds.count)).collect()
}

#[test]
fn the_last_round_tells_of_all() {
    let mut host = stdio();
    let state = |state: &str| format!(",\"requestState\":\"{state}\"");
    exchange(&mut host, &ask(1, "t", ""), &more_input(1, &format!("{QUESTION}{}", state("one"))));
    host.pass(Duration::from_secs(60));
    exchange(
        &mut host,
        &ask(2, "t", &format!("{REPLY}{}", state("one"))),
        &more_input(2, &state("t\\u0077o")),
    );
    host.pass(Duration::from_secs(30));
    exchange(&mut host, &ask(3, "t", &state("two")), &result(3));
    assert_eq!(
        host.outcomes().iter().map(|(_, outcome)| *outcome).collect::<Vec<_>>(),
        [Outcome::InputRequired, Outcome::InputRequired, Outcome::Ok]
    );
    let calls = host.calls();
    assert_eq!(calls[..2].iter().map(|call| call.links.rounds).collect::<Vec<_>>(), [None, None]);
    let each: Duration = calls.iter().filter_map(|call| call.duration()).sum();
    let last = calls[2].at.after(calls[2].duration().unwrap());
    let expected = Rounds { count: 3, logical: last.since(calls[0].at), working: each };
    assert_eq!(calls[2].links.rounds, Some(expected));
    assert!(expected.logical > Duration::from_secs(90) && each < Duration::from_secs(1));
    assert!(host.faults().is_empty());
}

#[test]
fn without_a_state_the_names_of_what_was_asked_tie() {
    let mut host = stdio();
    exchange(&mut host, &ask(1, "t", ""), &more_input(1, QUESTION));
    exchange(&mut host, &ask(2, "t", REPLY), &result(2));
    assert_eq!(rounds(&host), [None, Some(2)]);
}

#[test]
fn another_tool_or_state_or_client_is_another_call() {
    let state = |state: &str| format!(",\"requestState\":\"{state}\"");
    for request in [ask(2, "u", &state("s")), ask(2, "t", &state("r")), ask(2, "t", REPLY)] {
        let mut host = stdio();
        exchange(&mut host, &ask(1, "t", ""), &more_input(1, &state("s")));
        exchange(&mut host, &request, &result(2));
        assert_eq!(rounds(&host), [None, None], "{request}");
        assert_eq!(host.faults(), ["round_without_first"]);
    }
}

#[test]
fn a_round_that_failed_on_its_way_may_come_again() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    let state = ",\"requestState\":\"s\"";
    host.ask(post(&ask(1, "t", ""), ""));
    host.answer(reply(&more_input(1, state), ""));
    host.ask(post(&ask(2, "t", state), ""));
    host.answer("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    host.ask(post(&ask(3, "t", state), ""));
    host.answer(reply(&result(3), ""));
    assert_eq!(rounds(&host), [None, Some(2), Some(2)]);
    assert_eq!(host.calls()[1].outcome, Outcome::HttpError);
}

#[test]
fn the_rounds_of_a_stateless_client_come_on_any_connection() {
    let mut host = Host::new();
    connect(&mut host, 1, 2, 4000);
    connect(&mut host, 3, 4, 4001);
    let state = ",\"requestState\":\"s\"";
    host.ask(post(&ask(1, "t", ""), ""));
    host.answer(reply(&more_input(1, state), ""));
    host.carry((CLIENT, SERVER), (3, 4), post(&ask(1, "t", state), "").as_bytes());
    host.carry((SERVER, CLIENT), (4, 3), reply(&result(1), "").as_bytes());
    assert_eq!(rounds(&host), [None, Some(2)]);
}

#[test]
fn what_is_never_continued_is_counted() {
    let mut host = stdio();
    exchange(&mut host, &ask(1, "t", ""), &more_input(1, QUESTION));
    host.pass(Duration::from_secs(25 * 3600));
    exchange(&mut host, &ask(2, "u", ""), &more_input(2, QUESTION));
    assert_eq!(host.faults(), ["round_without_last"]);
}

#[test]
fn two_at_once_that_are_asked_for_the_same_are_two() {
    let mut host = stdio();
    exchange(&mut host, &ask(1, "t", ""), &more_input(1, QUESTION));
    exchange(&mut host, &ask(2, "t", ""), &more_input(2, QUESTION));
    exchange(&mut host, &ask(3, "t", REPLY), &result(3));
    exchange(&mut host, &ask(4, "t", REPLY), &result(4));
    assert_eq!(rounds(&host), [None, None, Some(2), Some(2)]);
    assert!(host.faults().is_empty());
}
