//! The page of spans and log records.

use super::{code, table};
use crate::export::span_attributes::{ATTRIBUTES, Attribute, On};

pub(super) fn write(page: &mut String) {
    page.push_str(
        "# Spans and log records\n\n\
         Exported over OTLP where an endpoint is set. Each call is a span of kind CLIENT with the client's times and one \
         of kind SERVER with the server's, as far as they are known, the second a child of the first; and a log record. \
         The span is named by the method and what it is about: `tools/call echo`. Its parent is the context in \
         `params._meta.traceparent`; without one, the ids follow from the call itself, so that two observers of one call \
         agree. An HTTP header `traceparent` is a link. Notifications about the call are events. Its status is an error \
         where `error.type` is there, and unset otherwise. Every observed service is a resource of its own.\n",
    );
    for (on, title) in [
        (On::Call, "Attributes of a call's spans and log record"),
        (On::Record, "Attributes of a log record alone"),
        (On::Event, "Attributes of events"),
        (On::Resource, "Attributes of resources"),
    ] {
        page.push_str(&format!("\n## {title}\n\n"));
        let row = |it: &Attribute| [code(it.name), it.when.to_owned(), it.help.to_owned()];
        table(page, ["Attribute", "When", "Meaning"], ATTRIBUTES.iter().filter(|it| it.on == on).map(row));
    }
    page.push_str(
        "\nAttributes of the user's own, by `--attribute`, have the names that the user gave them.\n",
    );
}
