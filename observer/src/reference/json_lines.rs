//! The page of JSON lines.

use super::{code, codes, table};
use crate::export::json_members::{MEMBERS, Member, PEER_MEMBERS, TYPES};

pub(super) fn write(page: &mut String) {
    page.push_str(
        "# JSON lines\n\n\
         With `--output json`, `watch` and `replay` print an object per line. A fact that is not known is an absent \
         member. Members may be added: readers leave aside what they do not know.\n\n\
         ## Types\n\n",
    );
    table(page, ["`type`", "It tells"], TYPES.iter().map(|(name, help)| [code(name), (*help).to_owned()]));
    page.push_str("\n## Members\n\n");
    let row = |it: &Member| {
        let of = if it.of.is_empty() { "all".to_owned() } else { codes(it.of) };
        [code(it.name), of, it.help.to_owned()]
    };
    table(page, ["Member", "Of lines of type", "Meaning"], MEMBERS.iter().map(row));
    page.push_str("\n## Of a client or server\n\n");
    table(page, ["Member", "Meaning"], PEER_MEMBERS.iter().map(|it| [code(it.name), it.help.to_owned()]));
}
