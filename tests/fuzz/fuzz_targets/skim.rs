//! The skimmer under any bytes: the same wherever they are cut, and every object that is JSON is read as whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_observer::pipeline::jsonrpc::skim::Skim;
use mcp_observer::pipeline::limits::Limits;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    let [cut, text @ ..] = input else { return };
    let (head, tail) = text.split_at(usize::from(*cut).min(text.len()));
    let mut skim = Skim::new(&Limits::default(), true);
    skim.push(text);
    let whole = skim.finish();
    skim.push(head);
    skim.push(tail);
    assert_eq!(skim.finish(), whole, "cut at {}", head.len());
    text.chunks(1).for_each(|byte| skim.push(byte));
    assert_eq!(skim.finish(), whole, "byte by byte");
    if let Ok(Value::Object(object)) = serde_json::from_slice(text) {
        let message = &whole.messages[0];
        assert!(message.whole);
        assert_eq!(message.method.is_some(), object.get("method").is_some_and(Value::is_string));
        assert_eq!(message.has_result, object.contains_key("result"));
        assert_eq!(message.has_error, object.get("error").is_some_and(Value::is_object));
    }
    skim.push(head);
    skim.gap(1);
    skim.push(tail);
    assert!(!skim.finish().messages.last().is_some_and(|message| message.whole && whole.batch == false));
});
