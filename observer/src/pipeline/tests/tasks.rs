//! Tasks of both kinds: that they are made is not their end.

use super::*;
use crate::pipeline::observation::{TaskEnded, TaskStatus};

fn about(id: u32, method: &str, task: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{{\"taskId\":\"{task}\"}}}}\n"
    )
}

fn answer(id: u32, result: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}\n")
}

fn status(task: &str, status: &str, more: &str) -> String {
    format!("{{\"taskId\":\"{task}\",\"status\":\"{status}\",\"ttl\":60000{more}}}")
}

fn tell(method: &str, params: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":{params}}}\n")
}

/// A task of 2025-11-25 that `slow` makes.
fn make(host: &mut Host, id: u32, task: &str) {
    let request = call(id, "slow").replace("\"name\"", "\"task\":{\"ttl\":60000},\"name\"");
    exchange(host, &request, &answer(id, &format!("{{\"task\":{}}}", status(task, "working", ""))));
}

/// A task of the extension that `slow` makes.
fn make_modern(host: &mut Host, id: u32, task: &str) {
    let made = status(task, "working", ",\"resultType\":\"task\"");
    exchange(host, &call(id, "slow"), &answer(id, &made));
}

fn ended(host: &Host) -> Vec<&TaskEnded> {
    host.seen
        .iter()
        .filter_map(|seen| match seen {
            Observation::TaskEnded(it) => Some(&**it),
            _ => None,
        })
        .collect()
}

fn ends(host: &Host) -> Vec<(TaskStatus, Outcome)> {
    ended(host).iter().map(|it| (it.status, it.outcome)).collect()
}

#[test]
fn a_poll_sees_the_end() {
    let mut host = stdio();
    make(&mut host, 1, "a");
    host.pass(Duration::from_secs(40));
    exchange(&mut host, &about(2, "tasks/get", "a"), &answer(2, &status("a", "working", "")));
    assert_eq!(ends(&host), []);
    host.pass(Duration::from_secs(20));
    exchange(&mut host, &about(3, "tasks/get", "a"), &answer(3, &status("a", "completed", "")));
    exchange(&mut host, &about(4, "tasks/result", "a"), &result(4));
    assert_eq!(ends(&host), [(TaskStatus::Completed, Outcome::Ok)]);
    assert_eq!(ended(&host).len(), 1);
    let end = ended(&host)[0];
    assert_eq!(end.subject, host.calls()[0].subject, "the tool's name");
    assert_eq!((end.polls, end.id.clone()), (2, host.calls()[0].id.clone()));
    assert!((60..61).contains(&end.duration.as_secs()), "{:?}", end.duration);
    let outcomes: Vec<_> = host.outcomes().into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(outcomes, [Outcome::Task, Outcome::Ok, Outcome::Ok, Outcome::Ok]);
    assert!(host.faults().is_empty());
}

#[test]
fn the_result_that_is_waited_for_is_the_end() {
    let failure = "{\"isError\":true,\"content\":[],\"_meta\":{\"io.modelcontextprotocol/related-task\":{\"taskId\":\"a\"}}}";
    let error = "{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-32603,\"message\":\"m\"}}\n";
    for (text, expected) in [
        (result(2), (TaskStatus::Completed, Outcome::Ok)),
        (answer(2, failure), (TaskStatus::Failed, Outcome::ToolError)),
        (error.to_owned(), (TaskStatus::Failed, Outcome::RpcError)),
    ] {
        let mut host = stdio();
        make(&mut host, 1, "a");
        host.tell(1, CLIENT, SERVER, &about(2, "tasks/result", "a"));
        host.pass(Duration::from_secs(100));
        host.tell(2, SERVER, CLIENT, &text);
        assert_eq!(ends(&host), [expected]);
        assert!(ended(&host)[0].duration > Duration::from_secs(100));
    }
}

#[test]
fn a_notification_is_the_end_too() {
    let mut host = stdio();
    make(&mut host, 1, "a");
    host.tell(2, SERVER, CLIENT, &tell("notifications/tasks/status", &status("a", "working", "")));
    assert_eq!(ends(&host), []);
    host.tell(2, SERVER, CLIENT, &tell("notifications/tasks/status", &status("a", "failed", "")));
    assert_eq!(ends(&host), [(TaskStatus::Failed, Outcome::ToolError)]);
    make_modern(&mut host, 2, "b");
    let error = ",\"error\":{\"code\":-32603,\"message\":\"m\"}";
    host.tell(2, SERVER, CLIENT, &tell("notifications/tasks", &status("b", "failed", error)));
    assert_eq!(ends(&host)[1..], [(TaskStatus::Failed, Outcome::RpcError)]);
}

#[test]
fn the_extension_has_the_result_in_the_poll() {
    for (more, expected) in [
        (",\"result\":{\"content\":[]}", Outcome::Ok),
        (",\"result\":{\"content\":[],\"isError\":true}", Outcome::ToolError),
    ] {
        let mut host = stdio();
        make_modern(&mut host, 1, "a");
        let done = status("a", "completed", &format!(",\"resultType\":\"complete\"{more}"));
        exchange(&mut host, &about(2, "tasks/get", "a"), &answer(2, &done));
        assert_eq!(ends(&host), [(TaskStatus::Completed, expected)]);
        assert_eq!(host.calls()[1].outcome, Outcome::Ok, "the poll itself is fine");
    }
}

#[test]
fn a_task_is_taken_back() {
    let mut host = stdio();
    make(&mut host, 1, "a");
    exchange(&mut host, &about(2, "tasks/cancel", "a"), &answer(2, &status("a", "cancelled", "")));
    assert_eq!(ends(&host), [(TaskStatus::Cancelled, Outcome::Cancelled)]);
    make_modern(&mut host, 3, "b");
    exchange(&mut host, &about(4, "tasks/cancel", "b"), &answer(4, "{\"resultType\":\"complete\"}"));
    assert_eq!(ends(&host).len(), 1, "only heard, not done");
    exchange(&mut host, &about(5, "tasks/get", "b"), &answer(5, &status("b", "cancelled", "")));
    assert_eq!(ends(&host).len(), 2);
}

#[test]
fn the_client_has_tasks_too() {
    let mut host = stdio();
    exchange(&mut host, &call(0, "t"), &result(0));
    let sampling = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"sampling/createMessage\",\"params\":{\"task\":{},\"messages\":[]}}\n";
    host.tell(2, SERVER, CLIENT, sampling);
    host.tell(1, CLIENT, SERVER, &answer(1, &format!("{{\"task\":{}}}", status("a", "working", ""))));
    // The server's own task of the same id is another one.
    make(&mut host, 1, "a");
    host.tell(1, CLIENT, SERVER, &tell("notifications/tasks/status", &status("a", "completed", "")));
    assert_eq!(ended(&host).len(), 1);
    let end = ended(&host)[0];
    assert_eq!((&*end.method, end.direction), ("sampling/createMessage", CallDirection::ServerToClient));
}

#[test]
fn what_was_made_before_is_counted() {
    let mut host = stdio();
    exchange(&mut host, &call(0, "t"), &result(0));
    exchange(&mut host, &about(2, "tasks/get", "z"), &answer(2, &status("z", "completed", "")));
    assert_eq!((ends(&host).len(), host.faults()), (0, vec!["task_unknown"]));
}
