//! The page of names that expressions may use.

use super::{code, table};
use crate::expressions::facts::{NAMES, Name, PEER_NAMES};
use crate::expressions::{MOST_EXPRESSIONS, MOST_HEADERS};

pub(super) fn write(page: &mut String) {
    page.push_str(&format!(
        "# Expressions\n\n\
         `--filter EXPR` shows only what the expression is true for; `--attribute NAME=EXPR` gives each call an \
         attribute. Both are CEL, the [Common Expression Language](https://cel.dev) of gateways and Kubernetes, and may \
         be given {MOST_EXPRESSIONS} times. All filters must hold.\n\n\
         ```console\n\
         mcp-observer watch --filter \"duration_ms > 1000.0 && tool.startsWith('db_')\"\n\
         mcp-observer run --attribute \"tenant=headers['x-tenant']\" --attribute \"slow=duration_ms > 500.0\"\n\
         ```\n\n\
         A wrong expression is refused at start, with its position. One that fails on a call is counted \
         (`mcp_observer_faults_total{{stage=\"expression\"}}`): the filter does not hold, the attribute is left out.\n\n\
         ## Names\n\n"
    ));
    let row = |name: &Name| [code(name.name), name.kind.name().to_owned(), name.help.to_owned()];
    table(page, ["Name", "Type", "Meaning"], NAMES.iter().map(row));
    page.push_str("\nBehind `client.` and `server.`, as in `client.pid`:\n\n");
    table(page, ["Name", "Type", "Meaning"], PEER_NAMES.iter().map(row));
    page.push_str(&format!(
        "\n`headers['x-tenant']` is a header of the HTTP request, its name in any case; \
         `'x-tenant' in headers` asks whether it was sent. Only headers that an expression names are kept, {MOST_HEADERS} \
         at most. `Authorization`, cookies, session ids and whatever else is named like a secret are never read.\n\n\
         `arguments` are the call's arguments, as in `arguments.user.tier`. They need `--payloads`.\n\n\
         A text that is not known is empty. A number that is not known, a header that was not sent and an argument that \
         is not there give the whole expression no value: the filter does not hold and the attribute is left out, and \
         nothing is counted. `has(client.pid)` asks.\n\n\
         ## What there is of the language\n\n\
         Operators, `? :`, `in`, lists and maps, `size`, `contains`, `startsWith`, `endsWith`, `matches` with a pattern \
         that stands in the expression, conversions (`int`, `uint`, `double`, `string`, `bool`), and the loops `all`, \
         `exists` and `exists_one`, but not one inside another. An attribute is a text of 256 characters at most, a \
         number, true or false. Texts, true and false are also values of the metric \
         `mcp_attribute_requests_total`, 100 of each attribute at most; JSON lines have all, as `attributes`; \
         spans and log records have them too, under their own names.\n"
    ));
}
