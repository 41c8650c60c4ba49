//! What an expression of PromQL names: metrics with the labels of their selectors, and labels of its clauses.
//!
//! Not a parser: whether it is an expression is for `promtool` to say.

/// Something that is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A selector.
    Metric {
        /// Name of the metric.
        name: String,
        /// Labels in its braces.
        labels: Vec<String>,
    },
    /// A label of `by (…)`, `on (…)` and their kin.
    Label(String),
}

/// Clauses that name labels.
const CLAUSES: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Words that are no metric.
const WORDS: [&str; 9] = ["and", "or", "unless", "offset", "bool", "inf", "nan", "atan2", "start"];

/// All that `expression` names.
pub fn tokens(expression: &str) -> Vec<Token> {
    let mut rest = expression;
    let mut found = Vec::new();
    while let Some(first) = rest.chars().next() {
        match first {
            '"' | '\'' => rest = behind_text(rest),
            '[' => rest = rest.find(']').map_or("", |end| &rest[end + 1..]),
            '{' => panic!("a selector without a metric: {rest}"),
            _ if first.is_ascii_digit() => {
                rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
            }
            _ if is_name(first) => {
                let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                let (name, behind) = rest.split_at(end);
                rest = named(name, behind, &mut found);
            }
            _ => rest = &rest[first.len_utf8()..],
        }
    }
    found
}

/// Takes what belongs to a name; gives what is behind it.
fn named<'e>(name: &str, behind: &'e str, found: &mut Vec<Token>) -> &'e str {
    let next = behind.trim_start();
    if CLAUSES.contains(&name) && next.starts_with('(') {
        let end = next.find(')').unwrap_or(next.len());
        let labels = next[1..end].split(',').map(str::trim).filter(|label| !label.is_empty());
        found.extend(labels.map(|label| Token::Label(label.to_owned())));
        return &next[end..];
    }
    let follows = next.split(|c| !is_name(c)).next().unwrap_or_default();
    let is_aggregation = ["by", "without"].contains(&follows);
    if next.starts_with('(')
        || is_aggregation
        || CLAUSES.contains(&name)
        || WORDS.contains(&name.to_ascii_lowercase().as_str())
    {
        return behind; // a function, an aggregation or an operator
    }
    let mut labels = Vec::new();
    let mut rest = behind;
    if let Some(mut inside) = next.strip_prefix('{') {
        loop {
            inside = inside.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            let end = inside.find(|c| !is_name(c)).unwrap_or(inside.len());
            let (label, behind) = inside.split_at(end);
            if label.is_empty() {
                rest = behind.strip_prefix('}').unwrap_or(behind);
                break;
            }
            labels.push(label.to_owned());
            inside = behind_text(behind.trim_start_matches(|c| "=!~ ".contains(c)));
        }
    }
    found.push(Token::Metric { name: name.to_owned(), labels });
    rest
}

fn behind_text(text: &str) -> &str {
    let Some(quote) = text.chars().next() else { return text };
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_labels_and_clauses_are_found_and_nothing_else() {
        let metric = |name: &str, labels: &[&str]| Token::Metric {
            name: name.to_owned(),
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
        };
        let label = |name: &str| Token::Label(name.to_owned());
        assert_eq!(
            tokens("topk(3, sum by (server, le) (rate(a_bucket{x=\"} b\", y!~'$z'}[5m] offset 1w))) > 0.5"),
            [label("server"), label("le"), metric("a_bucket", &["x", "y"])]
        );
        assert_eq!(
            tokens("a:b:c / on (i) group_left (j) (up{} == 1) or vector(0) unless 1e3 * d"),
            [metric("a:b:c", &[]), label("i"), label("j"), metric("up", &[]), metric("d", &[])]
        );
    }
}
