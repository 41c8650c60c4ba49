//! Calls that are passed on: one call, and the hops that it takes.

use super::*;
use crate::pipeline::jsonrpc::Id;

const WRAPPER: u32 = 15;
const GATEWAY: u32 = 16;

/// A client, a wrapper and a server: streams 1 and 2 between the first two, 3 and 4 between the last.
fn wrapped() -> Host {
    let mut host = Host::new();
    (1..=4).for_each(|stream| host.pipe(stream));
    host
}

fn with(id: u32, tool: &str, arguments: &str) -> String {
    call(id, tool).replace("}}\n", &format!(",\"arguments\":{arguments}}}}}\n"))
}

/// By id: the call that each passes on, and how many hops it has.
fn links(host: &Host) -> Vec<(Id, Option<Id>, usize)> {
    let of = |call: &&Call| {
        (call.id.clone(), call.links.relay.as_ref().map(|relay| relay.id.clone()), call.links.hops.len())
    };
    host.calls().iter().map(of).collect()
}

fn id(number: u32) -> Id {
    Id::Number(number.to_string().into())
}

fn parent(host: &mut Host, child: u32, parent: u32) {
    let facts = ProcessFacts { parent, ..ProcessFacts::default() };
    host.event(child, EventBody::ProcessSeen(Box::new(facts)));
}

#[test]
fn a_wrapper_passes_on() {
    let mut host = wrapped();
    host.tell(1, CLIENT, WRAPPER, &with(1, "t", "{\"a\":1,\"b\":[\"é\"]}"));
    host.tell(3, WRAPPER, SERVER, &with(8, "t", "{\"b\": [\"\\u00e9\"], \"a\": 1}"));
    host.tell(4, SERVER, WRAPPER, &result(8));
    host.tell(2, WRAPPER, CLIENT, &result(1));
    assert_eq!(links(&host), [(id(8), Some(id(1)), 0), (id(1), None, 1)]);
    assert_eq!(host.calls().len(), 2);
    let (inner, outer) = (host.calls()[0], host.calls()[1]);
    assert_eq!(inner.links.relay.as_ref().map(|relay| relay.at), Some(outer.at));
    assert_eq!(outer.links.hops[0].duration, inner.duration());
    assert_eq!(outer.links.hops[0].server, inner.server);
}

#[test]
fn each_of_three_hops_passes_on_the_one_before() {
    let mut host = wrapped();
    (5..=6).for_each(|stream| host.pipe(stream));
    host.tell(1, CLIENT, WRAPPER, &call(1, "t"));
    host.tell(3, WRAPPER, GATEWAY, &call(2, "t"));
    host.tell(5, GATEWAY, SERVER, &call(3, "t"));
    host.tell(6, SERVER, GATEWAY, &result(3));
    host.tell(4, GATEWAY, WRAPPER, &result(2));
    host.tell(2, WRAPPER, CLIENT, &result(1));
    assert_eq!(links(&host), [(id(3), Some(id(2)), 0), (id(2), Some(id(1)), 1), (id(1), None, 1)]);
    assert_eq!(host.calls().iter().filter(|call| call.is_counted()).count(), 1);
}

#[test]
fn something_else_is_no_hop() {
    for other in [
        with(8, "u", "{\"a\":1}"),
        with(8, "t", "{\"a\":2}"),
        with(8, "xt", "{\"a\":1}"),
        call(8, "t").replace("tools/call", "prompts/get"),
    ] {
        let mut host = wrapped();
        host.tell(1, CLIENT, WRAPPER, &with(1, "t", "{\"a\":1}"));
        host.tell(3, WRAPPER, SERVER, &other);
        host.tell(4, SERVER, WRAPPER, &result(8));
        host.tell(2, WRAPPER, CLIENT, &result(1));
        assert_eq!(links(&host), [(id(8), None, 0), (id(1), None, 0)], "{other}");
    }
}

#[test]
fn a_call_before_or_after_is_no_hop() {
    let mut host = wrapped();
    for inner_first in [true, false] {
        let inner = |host: &mut Host| {
            host.tell(3, WRAPPER, SERVER, &call(8, "t"));
            host.tell(4, SERVER, WRAPPER, &result(8));
        };
        if inner_first {
            inner(&mut host);
        }
        host.tell(1, CLIENT, WRAPPER, &call(1, "t"));
        host.tell(2, WRAPPER, CLIENT, &result(1));
        if !inner_first {
            inner(&mut host);
        }
    }
    assert!(host.calls().iter().all(|call| call.is_counted()));
}

#[test]
fn another_process_is_no_relay() {
    let mut host = wrapped();
    host.tell(1, CLIENT, WRAPPER, &call(1, "t"));
    host.tell(3, GATEWAY, SERVER, &call(8, "t"));
    host.tell(4, SERVER, GATEWAY, &result(8));
    host.tell(2, WRAPPER, CLIENT, &result(1));
    assert!(host.calls().iter().all(|call| call.is_counted()));
}

#[test]
fn a_child_of_the_wrapper_may_pass_on() {
    let mut host = wrapped();
    parent(&mut host, 17, WRAPPER);
    parent(&mut host, GATEWAY, 17);
    host.tell(1, CLIENT, WRAPPER, &call(1, "t"));
    host.tell(3, GATEWAY, SERVER, &call(8, "t"));
    host.tell(4, SERVER, GATEWAY, &result(8));
    host.tell(2, WRAPPER, CLIENT, &result(1));
    assert_eq!(links(&host), [(id(8), Some(id(1)), 0), (id(1), None, 1)]);
}

#[test]
fn each_of_equal_calls_has_its_own_hop() {
    let mut host = wrapped();
    for number in 1..=3 {
        host.tell(1, CLIENT, WRAPPER, &call(number, "t"));
    }
    for number in 11..=13 {
        host.tell(3, WRAPPER, SERVER, &call(number, "t"));
    }
    for number in 11..=13 {
        host.tell(4, SERVER, WRAPPER, &result(number));
    }
    for number in 1..=3 {
        host.tell(2, WRAPPER, CLIENT, &result(number));
    }
    assert!(host.calls()[3..].iter().all(|call| call.is_counted() && call.links.hops.len() == 1));
}

/// Requests that are sent at once over several connections arrive in any order. Where a relay keeps ids, they tell which
/// is which; where it gives its own, equal ones are of different calls, and the order is all there is.
#[test]
fn equal_calls_that_arrive_in_another_order_have_their_own_hops() {
    for (alone, arriving, hops) in [(1, [4, 3, 2], [4, 3, 2]), (2, [3, 4, 5], [2, 3, 4])] {
        let mut host = wrapped();
        host.tell(1, CLIENT, WRAPPER, &call(1, "t"));
        host.tell(3, WRAPPER, SERVER, &call(alone, "t"));
        host.tell(4, SERVER, WRAPPER, &result(alone));
        host.tell(2, WRAPPER, CLIENT, &result(1));
        for number in 2..=4 {
            host.tell(1, CLIENT, WRAPPER, &call(number, "t"));
        }
        for number in arriving {
            host.tell(3, WRAPPER, SERVER, &call(number, "t"));
        }
        for (inner, outer) in arriving.into_iter().zip(hops) {
            host.tell(4, SERVER, WRAPPER, &result(inner));
            host.tell(2, WRAPPER, CLIENT, &result(outer));
        }
        for (at, (inner, outer)) in arriving.into_iter().zip(hops).enumerate() {
            let links = links(&host);
            assert_eq!(links[2 + 2 * at..][..2], [(id(inner), Some(id(outer)), 0), (id(outer), None, 1)]);
        }
    }
}

#[test]
fn a_gateway_asks_several_and_puts_names_in_front() {
    let mut host = wrapped();
    (5..=6).for_each(|stream| host.pipe(stream));
    let list = |id| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/list\"}}\n");
    host.tell(1, CLIENT, GATEWAY, &list(1));
    host.tell(3, GATEWAY, SERVER, &list(2));
    host.tell(5, GATEWAY, 21, &list(3));
    host.tell(6, 21, GATEWAY, &result(3));
    host.tell(4, SERVER, GATEWAY, &result(2));
    host.tell(2, GATEWAY, CLIENT, &result(1));
    assert_eq!(links(&host), [(id(3), Some(id(1)), 0), (id(2), Some(id(1)), 0), (id(1), None, 2)]);
    host.tell(1, CLIENT, GATEWAY, &with(4, "files__read", "{\"p\":1}"));
    host.tell(3, GATEWAY, SERVER, &with(5, "read", "{\"p\":1}"));
    host.tell(4, SERVER, GATEWAY, &result(5));
    host.tell(2, GATEWAY, CLIENT, &result(4));
    assert_eq!(links(&host)[3..], [(id(5), Some(id(4)), 0), (id(4), None, 1)]);
}

#[test]
fn the_task_of_a_call_that_is_passed_on_is_told_once() {
    let mut host = wrapped();
    let made = |id: u32, task: &str| {
        format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"resultType\":\"task\",\"taskId\":\"{task}\",\"status\":\"working\"}}}}\n"
        )
    };
    let get = |id: u32, task: &str| {
        format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tasks/get\",\"params\":{{\"taskId\":\"{task}\"}}}}\n"
        )
    };
    host.tell(1, CLIENT, WRAPPER, &call(1, "t"));
    host.tell(3, WRAPPER, SERVER, &call(8, "t"));
    host.tell(4, SERVER, WRAPPER, &made(8, "inner"));
    host.tell(2, WRAPPER, CLIENT, &made(1, "outer"));
    host.tell(1, CLIENT, WRAPPER, &get(2, "outer"));
    host.tell(3, WRAPPER, SERVER, &get(9, "inner"));
    host.tell(4, SERVER, WRAPPER, &made(9, "inner").replace("working", "completed"));
    host.tell(2, WRAPPER, CLIENT, &made(2, "outer").replace("working", "completed"));
    let ended = host.seen.iter().filter(|seen| matches!(seen, Observation::TaskEnded(_))).count();
    assert_eq!(ended, 1);
}

#[test]
fn a_server_that_asks_the_client_which_started_it_passes_on_nothing() {
    let mut host = wrapped();
    parent(&mut host, SERVER, CLIENT);
    parent(&mut host, 21, CLIENT);
    let roots = |id| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"roots/list\"}}\n");
    host.tell(2, SERVER, CLIENT, &roots(1));
    host.tell(2, SERVER, CLIENT, &roots(2));
    host.tell(4, 21, CLIENT, &roots(1));
    host.tell(1, CLIENT, SERVER, &result(1));
    host.tell(1, CLIENT, SERVER, &result(2));
    host.tell(3, CLIENT, 21, &result(1));
    assert_eq!(host.calls().len(), 3);
    assert!(host.calls().iter().all(|call| call.is_counted()));
}

/// A client that asks `podman` on streams 1 and 2, and `conmon`, which has lost its parent and asks the server on 3 and 4.
fn container() -> Host {
    let mut host = wrapped();
    for (pid, exe) in [(WRAPPER, "/usr/bin/podman"), (GATEWAY, "/usr/bin/conmon")] {
        let facts = ProcessFacts { parent: 1, exe: exe.to_owned(), ..ProcessFacts::default() };
        host.event(pid, EventBody::ProcessSeen(Box::new(facts)));
    }
    host
}

fn into_container(host: &mut Host, inner: &str) {
    host.tell(1, CLIENT, WRAPPER, &with(1, "t", "{\"a\":1}"));
    host.tell(3, GATEWAY, SERVER, inner);
    host.tell(4, SERVER, GATEWAY, &result(1));
    host.tell(2, WRAPPER, CLIENT, &result(1));
}

#[test]
fn a_copy_of_a_call_into_a_container_is_inferred_to_be_it() {
    let mut host = container();
    into_container(&mut host, &with(1, "t", "{\"a\":1}"));
    assert_eq!(links(&host), [(id(1), Some(id(1)), 0), (id(1), None, 1)]);
    assert_eq!(host.calls()[0].links.relay.as_ref().map(|relay| relay.inferred), Some(true));
}

#[test]
fn nothing_else_is_inferred() {
    for other in [with(1, "t", "{\"a\":2}"), with(1, "u", "{\"a\":1}"), with(2, "t", "{\"a\":1}")] {
        let mut host = container();
        into_container(&mut host, &other);
        assert!(host.calls().iter().all(|call| call.is_counted()), "{other}");
    }
    // Two clients ask for the same with the same id: either may be meant.
    let mut host = container();
    (5..=6).for_each(|stream| host.pipe(stream));
    let facts = ProcessFacts { exe: "/usr/bin/podman".to_owned(), ..ProcessFacts::default() };
    host.event(31, EventBody::ProcessSeen(Box::new(facts)));
    host.tell(5, 30, 31, &with(1, "t", "{\"a\":1}"));
    into_container(&mut host, &with(1, "t", "{\"a\":1}"));
    assert!(host.calls().iter().all(|call| call.is_counted()));
}
