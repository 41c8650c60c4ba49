//! What expressions mean, and which are refused.

use super::*;
use crate::export::testing::{SECRET, call};
use crate::pipeline::observation::{Call, ChosenHeaders, Loss, Notification, Outcome, Subject as About};
use crate::pipeline::private::Private;
use crate::pipeline::time::Timestamp;

fn filters(filters: &[&str], payloads: bool) -> Result<Option<Expressions>, Error> {
    let filters: Vec<String> = filters.iter().map(|&filter| filter.to_owned()).collect();
    Expressions::read(&filters, &[], payloads)
}

fn refused(source: &str) -> String {
    filters(&[source], false).expect_err(source).to_string()
}

/// Whether the call is wanted, and how many faults were counted.
fn wants(source: &str, call: Call) -> (bool, u64) {
    let expressions = filters(&[source], true).unwrap_or_else(|error| panic!("{error}")).unwrap();
    let mut health = Health::default();
    let wanted = expressions.apply(&mut Observation::Call(Box::new(call)), &mut health);
    (wanted, health.faults().map(|(.., count)| count).sum())
}

/// The attribute of this value, and how many faults were counted.
fn attribute(source: &str, call: Call) -> (Option<AttributeValue>, u64) {
    let expressions = Expressions::read(&[], &[format!("it={source}")], true);
    let expressions = expressions.unwrap_or_else(|error| panic!("{error}")).unwrap();
    let mut health = Health::default();
    let mut observation = Observation::Call(Box::new(call));
    assert!(expressions.apply(&mut observation, &mut health));
    let Observation::Call(call) = observation else { panic!("it was a call") };
    let faults = health.faults().map(|(.., count)| count).sum();
    (call.attributes.first().map(|attribute| attribute.value.clone()), faults)
}

fn with_arguments(json: &str) -> Call {
    Call { arguments: Some(Private::new(json.as_bytes().into())), ..call() }
}

fn text(text: &str) -> Option<AttributeValue> {
    Some(AttributeValue::Text(text.into()))
}

#[test]
fn filters_are_about_what_is_known_of_a_call() {
    for (source, wanted) in [
        ("method == 'tools/call' && tool == 'echo'", true),
        ("tool in ['add', 'sub']", false),
        ("duration_ms > 12 && duration_ms < 12.5", true),
        ("outcome != 'ok' || client.pid == 4242", true),
        ("server.exe.endsWith('/node') && server.name.startsWith('every')", true),
        ("tool.matches('^ec?ho$')", true),
        ("size(tool) == 4 && string(client.pid) == '4242'", true),
        ("has(server.container) || has(client.address)", false),
        ("has(client.name) && !('x-tenant' in headers)", true),
        ("[1, 2, 3].exists(n, n == request_bytes - 116)", true),
        ("prompt == '' && session == ''", true),
    ] {
        assert_eq!(wants(source, call()), (wanted, 0), "{source}");
    }
}

#[test]
fn what_is_not_known_gives_no_value_and_is_no_fault() {
    let abandoned =
        Call { client_duration: None, server_duration: None, outcome: Outcome::Abandoned, ..call() };
    assert_eq!(wants("duration_ms > 1.0", abandoned.clone()), (false, 0));
    assert_eq!(wants("duration_ms > 1.0 || outcome == 'abandoned'", abandoned), (true, 0));
    assert_eq!(attribute("headers['x-tenant']", call()), (None, 0));
    assert_eq!(attribute("prompt", call()), (None, 0), "an empty text says nothing");
    assert_eq!(attribute("arguments.user", with_arguments("{}")), (None, 0));
    assert_eq!(attribute("arguments.user", call()), (None, 0));
}

#[test]
fn attributes_have_the_kinds_of_their_values() {
    assert_eq!(attribute("tool + '@' + server.name", call()).0, text("echo@everything"));
    assert_eq!(attribute("client.pid", call()).0, Some(AttributeValue::Int(4242)));
    assert_eq!(attribute("duration_ms", call()).0, Some(AttributeValue::Double(12.345)));
    assert_eq!(attribute("duration_ms > 10.0", call()).0, Some(AttributeValue::Bool(true)));
    assert_eq!(attribute("outcome == 'ok' ? 'good' : 'bad'", call()).0, text("good"));
    let long = Call { method: "ä".repeat(1000).into(), ..call() };
    assert_eq!(attribute("method", long).0, text(&"ä".repeat(256)));
}

#[test]
fn headers_are_read_by_name_in_any_case() {
    let expressions = Expressions::read(
        &["'X-Env' in headers".to_owned()],
        &["tenant=headers['X-Tenant']".to_owned(), "env=headers['x-env']".to_owned()],
        false,
    );
    let expressions = expressions.unwrap().unwrap();
    let kept = settings(Some(&expressions), false).limits.kept_headers;
    assert_eq!(kept.iter().map(|name| &**name).collect::<Vec<_>>(), ["x-env", "x-tenant"]);
    let headers = ChosenHeaders([(1, "acme".into()), (0, "prod".into())].into());
    let mut observation = Observation::Call(Box::new(Call { headers: Private::new(headers), ..call() }));
    assert!(expressions.apply(&mut observation, &mut Health::default()));
    let Observation::Call(told) = observation else { panic!("it was a call") };
    let shown: Vec<_> = told.attributes.iter().map(|it| format!("{}={}", it.name, it.value)).collect();
    assert_eq!(shown, ["tenant=acme", "env=prod"]);
    assert!(!format!("{:?}", told.headers).contains("acme"));
}

#[test]
fn arguments_are_for_those_who_asked_for_payloads() {
    let asked = with_arguments(r#"{"user":{"tier":"gold"},"n":[1,2],"deep":null}"#);
    assert_eq!(attribute("arguments.user.tier", asked.clone()).0, text("gold"));
    assert_eq!(attribute("size(arguments.n)", asked.clone()).0, Some(AttributeValue::Int(2)));
    assert_eq!(wants("arguments.n.exists(x, x > 1) && 'user' in arguments", asked.clone()), (true, 0));
    assert_eq!(attribute("arguments.deep", asked).0, None);
    assert!(refused("arguments.user == 'x'").contains("needs --payloads"));
    assert!(refused("resource == 'x'").contains("needs --payloads"));
    let secret = Call { subject: Some(About::Resource(Private::new(SECRET.into()))), ..call() };
    assert_eq!(attribute("resource", secret).0, text(SECRET), "the user asked for it");
}

#[test]
fn a_failure_is_counted_and_stops_nothing() {
    let odd = with_arguments(r#"{"n":"text"}"#);
    assert_eq!(wants("arguments.n > 3", odd.clone()), (false, 1));
    assert_eq!(attribute("arguments.n > 3", odd.clone()), (None, 1));
    assert_eq!(attribute("arguments", odd.clone()), (None, 1), "a map is no attribute");
    assert_eq!(wants("arguments.n", odd), (false, 1), "neither true nor false");
    assert_eq!(attribute("100 / progress", call()), (None, 1));
}

#[test]
fn secrets_cannot_be_read() {
    for header in ["Authorization", "Cookie", "set-cookie", "X-API-Key", "x-auth-token", "Mcp-Session-Id"] {
        let told = refused(&format!("headers['{header}'] == 'x'"));
        assert!(told.contains("never read"), "{told}");
    }
}

#[test]
fn a_wrong_expression_is_refused_with_its_position() {
    let at = |source: &str| {
        let told = refused(source);
        let (_, rest) = told.split_once("--filter: ").unwrap();
        let (position, _) = rest.split_once(": ").unwrap();
        (position.to_owned(), told)
    };
    for (source, position, why) in [
        ("tool = 'x'", "column 6", "`=` is not expected here"),
        ("tool ==", "column 8", "it ends too early"),
        ("tol == 'x'", "column 1", "there is no `tol`"),
        ("method == 'x' &&\n  client.port == 1", "line 2, column 9", "there is no `client.port`"),
        ("tool > 5", "column 6", "string and int"),
        ("true && tool", "column 6", "string"),
        ("duration_ms", "column 1", "true or false"),
        ("frob(tool)", "column 5", "no function `frob`"),
        ("tool.matches('(')", "column 13", "regular expression"),
        ("tool.matches(method)", "column 13", "a text that stands here"),
        ("headers[tool] == 'x'", "column 8", "a text that stands here"),
        ("headers == tool", "column 1", "one by one"),
        ("[1].exists(a, [2].exists(b, a == b))", "column 25", "loop inside another"),
        ("[1].map(a, a) == [1]", "column 8", "build lists"),
        ("'ä' == 'ä' && tol", "column 15", "there is no `tol`"),
    ] {
        let (found, told) = at(source);
        assert!(found == position && told.contains(why), "{source}: {told}");
    }
    assert!(refused(&("1+".repeat(200) + "1 == 1")).contains("nested too deeply"));
    assert!(refused(&"(".repeat(500)).contains("--filter"), "no overflow of the stack");
    assert!(refused(&format!("tool == '{}'", "x".repeat(2000))).contains("longer than"));
}

#[test]
fn names_of_attributes_are_checked() {
    let refused = |typed: &[&str]| {
        let typed: Vec<String> = typed.iter().map(|&it| it.to_owned()).collect();
        Expressions::read(&[], &typed, false).expect_err("wrong").to_string()
    };
    for wrong in ["tool", "=tool", "Tool=tool", "a b=tool", "1a=tool"] {
        assert!(refused(&[wrong]).contains("write it as"), "{wrong}");
    }
    assert!(refused(&["a=tool", "a=method"]).contains("two of this name"));
    assert!(refused(&["a=tol"]).starts_with("--attribute a: column 1: "));
    assert!(refused(&["a=[tool]"]).contains("a list or a map"));
    let many: Vec<String> = (0..17).map(|n| format!("a{n}=tool")).collect();
    assert!(refused(&many.iter().map(String::as_str).collect::<Vec<_>>()).contains("16 times"));
    assert!(Expressions::read(&[], &[], false).unwrap().is_none());
}

#[test]
fn other_observations_have_what_they_have() {
    let expressions = filters(&["server.name == 'everything'"], false).unwrap().unwrap();
    let note = |server| {
        Observation::Notification(Box::new(Notification {
            at: Timestamp::default(),
            method: "notifications/message".into(),
            direction: call().direction,
            transport: call().transport,
            client: call().client,
            server,
            subscription: None,
        }))
    };
    let mut health = Health::default();
    assert!(expressions.apply(&mut note(call().server), &mut health));
    assert!(!expressions.apply(&mut note(call().client), &mut health));
    let loss = Loss { at: Timestamp::default(), cause: "ring_full", records: 1, bytes: 1, stream: None };
    assert!(expressions.apply(&mut Observation::Loss(loss), &mut health), "what was missed is always told");
    assert_eq!(health.faults().count(), 0);
}

#[test]
fn no_expression_overflows_or_panics() {
    let odd = with_arguments(r#"{"a":[1,-9223372036854775808,1e300,"x",null,{"b":[]}],"b":{"a":"ä"}}"#);
    let take = |source: &str| {
        if let Ok(Some(expressions)) = filters(&[source], true) {
            expressions.apply(&mut Observation::Call(Box::new(odd.clone())), &mut Health::default());
        }
    };
    for (part, end) in [
        ("!", "true"),
        ("-", "1"),
        ("(", "1"),
        ("[", "1"),
        ("{1:", "1"),
        ("1+", "1"),
        ("a.", "a"),
        ("true?1:", "1"),
    ] {
        take(&format!("{}{end}", part.repeat((1000 - end.len()) / part.len())));
    }
    take(&format!("arguments{}", ".a".repeat(500)));
    take(&format!("arguments{}", "[0]".repeat(330)));
    const PARTS: &[&str] = &[
        "arguments",
        ".a",
        ".b",
        "[0]",
        "[-1]",
        "['b']",
        "tool",
        "duration_ms",
        " + ",
        " - ",
        " * ",
        " / ",
        " % ",
        " == ",
        " < ",
        " in ",
        " && ",
        " || ",
        " ? ",
        " : ",
        "1",
        "-1",
        "0",
        "9223372036854775807",
        "1.5",
        "1u",
        "''",
        "'ä'",
        "b'x'",
        "null",
        "true",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        "int(",
        "string(",
        "size(",
        "uint(",
        ".contains('a')",
        ".matches('a*')",
        ".exists(x, x)",
        ".all(x, x == 1)",
        ".exists_one(x, x > 0)",
        "has(",
        "!",
        "-9223372036854775808",
        "double(",
        "bool(",
        "client.pid",
        "headers['x']",
        "\n",
        "@",
        "`",
        "\"",
        "\\",
    ];
    let mut state = 1_u64;
    for _ in 0..20_000 {
        let mut source = String::new();
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            source += PARTS[(state >> 33) as usize % PARTS.len()];
            if state >> 61 == 0 {
                break;
            }
        }
        take(&source);
    }
}
