//! One expression: read, checked against the names that there are, and tried out on sample values.
//!
//! Names are resolved here, so that evaluation looks nothing up but facts: `client.pid` and `headers['X-Tenant']`
//! become single names. What could take long or tell secrets is refused here too.

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, LiteralValue, SourceInfo, operators};
use cel::parser::Parser;

use super::evaluate::{Evaluator, Patterns};
use super::facts::{NAMES, PEER_NAMES, named};
use super::trial::try_out;

/// An expression that can be evaluated.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) root: IdedExpr,
    pub(super) patterns: Patterns,
    pub(super) reads_arguments: bool,
}

/// What an expression is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Its value is true or false.
    Filter,
    /// Its value is a text, a number, true or false.
    Attribute,
}

/// Why an expression is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    line: usize,
    /// In characters, from 1.
    column: usize,
    reason: String,
}

/// Longest expression. What people write by hand is shorter, and evaluation is bounded by it.
const MOST_BYTES: usize = 1024;
/// Deepest nesting, of what is written and of what is made of it (`a + b + c` is one in another): evaluation goes
/// down as deep.
const DEEPEST: u16 = 32;
const DEEPEST_MADE: usize = 64;

/// In front of names of headers in compiled expressions; `?` behind a name asks whether it is known.
pub(super) const HEADER: &str = "headers.";

/// Functions and operators whose cost is bounded by the size of what they are given.
const FUNCTIONS: &[&str] = &[
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::NOT_STRICTLY_FALSE,
    operators::IN,
    "contains",
    "startsWith",
    "endsWith",
    MATCHES,
    "size",
    "int",
    "uint",
    "double",
    "string",
    "bool",
];
pub(super) const MATCHES: &str = "matches";

/// Headers that hold secrets by their nature, and what makes others suspicious.
const SECRET_HEADERS: &[&str] = &["mcp-session-id", "last-event-id"];
const SECRET_PARTS: &[&str] =
    &["auth", "cookie", "token", "secret", "api-key", "apikey", "password", "credential", "signature"];

/// Reads `source`. Headers that it names are added to `headers`, in lower case.
pub(super) fn compile(
    source: &str,
    purpose: Purpose,
    payloads: bool,
    headers: &mut Vec<Box<str>>,
    evaluator: &Evaluator,
) -> Result<Compiled, Refusal> {
    if source.len() > MOST_BYTES {
        return Err(Refusal::at_start(format!("it is longer than {MOST_BYTES} bytes")));
    }
    let parsed = Parser::new().max_recursion_depth(DEEPEST).parse_with_source_info(source);
    let (mut root, info) = parsed.map_err(|errors| syntax(source, &errors))?;
    let mut check = Check {
        source,
        info: &info,
        payloads,
        headers,
        patterns: Patterns::default(),
        bound: Vec::new(),
        in_loop: false,
        reads_arguments: false,
        depth: 0,
    };
    check.walk(&mut root)?;
    let Check { patterns, reads_arguments, .. } = check;
    let compiled = Compiled { root, patterns, reads_arguments };
    try_out(&compiled, purpose, evaluator, headers)
        .map_err(|(node, reason)| Refusal::at(source, offset(&info, node), reason))?;
    Ok(compiled)
}

impl Refusal {
    fn at_start(reason: String) -> Self {
        Self { line: 1, column: 1, reason }
    }

    fn at(source: &str, offset: usize, reason: String) -> Self {
        let before = source.get(..offset).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        Self { line: before.matches('\n').count() + 1, column, reason }
    }

    /// One sentence with the position, and the place itself below.
    pub(super) fn tell(&self, flag: &str, source: &str) -> String {
        let Self { line, column, reason } = self;
        let place = source.lines().nth(line - 1).unwrap_or_default();
        let position =
            if *line > 1 { format!("line {line}, column {column}") } else { format!("column {column}") };
        format!("{flag}: {position}: {reason}\n  {place}\n  {:>column$}", "^")
    }
}

fn syntax(source: &str, errors: &cel::ParseErrors) -> Refusal {
    let Some(first) = errors.errors.first() else { return Refusal::at_start("it cannot be read".into()) };
    let [line, column] = [first.pos.0, first.pos.1].map(|it| usize::try_from(it).unwrap_or(1).max(1));
    let rest = source
        .lines()
        .nth(line - 1)
        .and_then(|text| text.char_indices().nth(column - 1).map(|(at, _)| &text[at..]));
    let reason = match rest.and_then(|rest| rest.split_whitespace().next()) {
        _ if first.msg.starts_with("Recursion") => "it is nested too deeply".into(),
        Some(word) => format!("`{word}` is not expected here"),
        None => "it ends too early".into(),
    };
    Refusal { line, column, reason }
}

fn offset(info: &SourceInfo, node: u64) -> usize {
    info.offset_for(node).and_then(|(start, _)| usize::try_from(start).ok()).unwrap_or(0)
}

struct Check<'s> {
    source: &'s str,
    info: &'s SourceInfo,
    payloads: bool,
    headers: &'s mut Vec<Box<str>>,
    patterns: Patterns,
    /// Names that the loops around bind.
    bound: Vec<String>,
    in_loop: bool,
    reads_arguments: bool,
    depth: usize,
}

impl Check<'_> {
    fn walk(&mut self, node: &mut IdedExpr) -> Result<(), Refusal> {
        if self.depth >= DEEPEST_MADE {
            return Err(Refusal::at(
                self.source,
                offset(self.info, node.id),
                "it is nested too deeply".into(),
            ));
        }
        self.depth += 1;
        let walked = self.walk_inside(node);
        self.depth -= 1;
        walked
    }

    fn walk_inside(&mut self, node: &mut IdedExpr) -> Result<(), Refusal> {
        let id = node.id;
        let refuse =
            |check: &Self, reason: String| Err(Refusal::at(check.source, offset(check.info, id), reason));
        if let Some(fact) = self.fact(node)? {
            node.expr = Expr::Ident(fact);
            return Ok(());
        }
        match &mut node.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => match self.unknown(name) {
                Some(reason) => refuse(self, reason),
                None => Ok(()),
            },
            Expr::Select(select) => self.walk(&mut select.operand),
            Expr::List(list) => list.elements.iter_mut().try_for_each(|element| self.walk(element)),
            Expr::Map(map) => map.entries.iter_mut().try_for_each(|entry| match &mut entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.walk(&mut entry.key)?;
                    self.walk(&mut entry.value)
                }
                EntryExpr::StructField(_) => refuse(self, "there are no structures here".into()),
            }),
            Expr::Call(call) if !FUNCTIONS.contains(&call.func_name.as_str()) => {
                refuse(self, format!("there is no function `{}`", call.func_name))
            }
            Expr::Call(call) => {
                if call.func_name == MATCHES {
                    let pattern = match call.args.last().map(|pattern| &pattern.expr) {
                        Some(Expr::Literal(LiteralValue::String(pattern))) => pattern.inner().to_owned(),
                        _ => {
                            return refuse(
                                self,
                                "the pattern of `matches` is a text that stands here".into(),
                            );
                        }
                    };
                    if let Err(error) = self.patterns.add(&pattern) {
                        return refuse(self, format!("this is no regular expression: {error}"));
                    }
                }
                call.target.as_deref_mut().map_or(Ok(()), |target| self.walk(target))?;
                call.args.iter_mut().try_for_each(|argument| self.walk(argument))
            }
            Expr::Comprehension(_) if self.in_loop => {
                refuse(self, "a loop inside another could take for ever".into())
            }
            Expr::Comprehension(it) if matches!(it.accu_init.expr, Expr::List(_)) => refuse(
                self,
                "`map` and `filter` build lists; there are `exists`, `exists_one` and `all`".into(),
            ),
            Expr::Comprehension(it) => {
                self.walk(&mut it.iter_range)?;
                self.walk(&mut it.accu_init)?;
                let outside = self.bound.len();
                self.bound.extend([it.iter_var.clone(), it.accu_var.clone()]);
                self.bound.extend(it.iter_var2.clone());
                self.in_loop = true;
                let inside = [&mut it.loop_cond, &mut it.loop_step, &mut it.result];
                let walked = inside.into_iter().try_for_each(|inner| self.walk(inner));
                self.in_loop = false;
                self.bound.truncate(outside);
                walked
            }
            Expr::Struct(_) | Expr::Unspecified => refuse(self, "there are no structures here".into()),
        }
    }

    /// The single name that stands for `client.pid`, `has(client.pod)`, `headers['x']` and the like.
    fn fact(&mut self, node: &IdedExpr) -> Result<Option<String>, Refusal> {
        let refuse =
            |check: &Self, reason| Err(Refusal::at(check.source, offset(check.info, node.id), reason));
        let (object, member, asks) = match &node.expr {
            Expr::Select(select) => (&select.operand.expr, Some(select.field.as_str()), select.test),
            Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
                (operators::INDEX, [object, member]) => (&object.expr, literal(member), false),
                (operators::IN, [member, object]) => (&object.expr, literal(member), true),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let Expr::Ident(object) = object else { return Ok(None) };
        if self.bound.contains(object) {
            return Ok(None);
        }
        let mark = if asks { "?" } else { "" };
        match (object.as_str(), member) {
            ("client" | "server", Some(member)) => {
                let name = format!("{object}.{member}");
                match named(&name) {
                    Some(_) => Ok(Some(name + mark)),
                    None => refuse(self, format!("there is no `{name}`; there are {}", listed(PEER_NAMES))),
                }
            }
            ("headers", Some(member)) => {
                let name = member.to_ascii_lowercase();
                if is_secret(&name) {
                    return refuse(self, format!("`{name}` may hold a secret and is never read"));
                }
                if !self.headers.iter().any(|header| **header == *name) {
                    self.headers.push(name.clone().into());
                }
                Ok(Some(format!("{HEADER}{name}{mark}")))
            }
            ("headers", None) => refuse(self, "a header's name is a text that stands here".into()),
            _ => Ok(None),
        }
    }

    /// Why a name means nothing.
    fn unknown(&mut self, name: &str) -> Option<String> {
        match name {
            _ if self.bound.iter().any(|bound| bound == name) => None,
            "client" | "server" => Some(format!("of a {name} there are {}", listed(PEER_NAMES))),
            "headers" => Some("headers are read one by one: headers['x-tenant']".into()),
            "arguments" | "resource" if !self.payloads => {
                Some(format!("`{name}` is payload: it needs --payloads"))
            }
            "arguments" => {
                self.reads_arguments = true;
                None
            }
            name if named(name).is_some() => None,
            name => Some(format!(
                "there is no `{name}`; there are {}, client, server, headers, arguments",
                listed(NAMES)
            )),
        }
    }
}

fn literal(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

fn is_secret(header: &str) -> bool {
    SECRET_HEADERS.contains(&header) || SECRET_PARTS.iter().any(|part| header.contains(part))
}

fn listed(names: &[super::facts::Name]) -> String {
    names.iter().map(|name| name.name).collect::<Vec<_>>().join(", ")
}
