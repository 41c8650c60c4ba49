//! Filters and attributes that users write in CEL, the Common Expression Language of gateways and Kubernetes.
//!
//! In: the text of `--filter` and `--attribute`, at start; then observations. Out: whether an observation is wanted,
//! and the attributes of a call. An expression is read, checked and tried out once (`compile`); a wrong one is refused
//! with its position. What evaluation may cost is bounded then: there are no loops in loops, no lists are built, texts
//! and arguments are cut to the pipeline's limits. One that fails on a call is counted and changes nothing else.

mod compile;
mod evaluate;
pub mod facts;
mod trial;

use std::sync::Arc;

use crate::error::Error;
use crate::pipeline::Settings;
use crate::pipeline::health::{Health, Stage};
use crate::pipeline::limits::Limits;
use crate::pipeline::observation::{Attribute, AttributeValue, Observation};
use compile::{Compiled, Purpose};
use evaluate::{Evaluator, Facts};
use facts::Subject;

/// Most attributes, and most filters: each costs on every call.
pub const MOST_EXPRESSIONS: usize = 16;
/// Most header names that all expressions name together: each costs memory for every request.
pub const MOST_HEADERS: usize = 16;

/// What the user wrote, ready to be evaluated.
#[derive(Debug)]
pub struct Expressions {
    filters: Vec<Compiled>,
    attributes: Vec<(Arc<str>, Compiled)>,
    headers: Arc<[Box<str>]>,
    evaluator: Evaluator,
}

impl Expressions {
    /// Reads `--filter` and `--attribute` as they were typed. `None`: there are none, and none shall cost anything.
    ///
    /// # Errors
    /// One of them is wrong, as [`Error::Usage`], with its position.
    pub fn read(filters: &[String], attributes: &[String], payloads: bool) -> Result<Option<Self>, Error> {
        if filters.is_empty() && attributes.is_empty() {
            return Ok(None);
        }
        for (flag, count) in [("--filter", filters.len()), ("--attribute", attributes.len())] {
            if count > MOST_EXPRESSIONS {
                return Err(Error::Usage(format!("{flag} may be given {MOST_EXPRESSIONS} times at most")));
            }
        }
        let evaluator = Evaluator::new();
        let mut headers = Vec::new();
        let mut read = |flag: &str, source: &str, purpose| {
            let compiled = compile::compile(source, purpose, payloads, &mut headers, &evaluator);
            compiled.map_err(|refusal| Error::Usage(refusal.tell(flag, source)))
        };
        let filters: Result<Vec<_>, Error> =
            filters.iter().map(|source| read("--filter", source, Purpose::Filter)).collect();
        let filters = filters?;
        let mut named: Vec<(Arc<str>, Compiled)> = Vec::new();
        for typed in attributes {
            let (name, source) = split_name(typed)?;
            if named.iter().any(|(other, _)| **other == *name) {
                return Err(Error::Usage(format!("--attribute {name}: there are two of this name")));
            }
            let compiled = read(&format!("--attribute {name}"), source, Purpose::Attribute)?;
            named.push((name.into(), compiled));
        }
        if headers.len() > MOST_HEADERS {
            return Err(Error::Usage(format!(
                "the expressions name more than {MOST_HEADERS} headers together"
            )));
        }
        Ok(Some(Self { filters, attributes: named, headers: headers.into(), evaluator }))
    }

    /// The names of the attributes, in their order.
    pub fn attribute_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.attributes.iter().map(|(name, _)| name)
    }

    /// Whether the observation is wanted; a call that is gets its attributes. What tells of missing data always is.
    pub fn apply(&self, observation: &mut Observation, health: &mut Health) -> bool {
        let Some(subject) = Subject::of(observation) else { return true };
        let facts = Facts::new(Some(subject), &self.headers);
        for filter in &self.filters {
            match self.evaluator.evaluate(filter, &facts) {
                Ok(Some(AttributeValue::Bool(true))) => {}
                Ok(Some(AttributeValue::Bool(false)) | None) => return false,
                Ok(Some(_)) | Err(_) => {
                    health.fault(Stage::Expression, "filter");
                    return false;
                }
            }
        }
        let mut attributes = Vec::new();
        if matches!(observation, Observation::Call(_)) {
            attributes.extend(self.attributes.iter().filter_map(|(name, expression)| {
                let value = self.evaluator.evaluate(expression, &facts).unwrap_or_else(|_| {
                    health.fault(Stage::Expression, "attribute");
                    None
                });
                Some(Attribute { name: name.clone(), value: value.filter(|value| !value.is_empty())? })
            }));
        }
        drop(facts);
        if let Observation::Call(call) = observation {
            call.attributes = attributes;
        }
        true
    }
}

/// What the pipeline is told, for what the expressions read.
pub fn settings(expressions: Option<&Expressions>, payloads: bool) -> Settings {
    let kept_headers = expressions.map(|it| it.headers.clone()).unwrap_or_default();
    Settings { limits: Limits { kept_headers, ..Limits::default() }, payloads }
}

/// `name=EXPR`.
fn split_name(typed: &str) -> Result<(&str, &str), Error> {
    let is_start = |c: char| c.is_ascii_lowercase();
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.');
    typed
        .split_once('=')
        .map(|(name, source)| (name.trim(), source))
        .filter(|(name, _)| name.starts_with(is_start) && name.chars().all(is_inner) && name.len() <= 64)
        .ok_or_else(|| {
            let form = "name=EXPRESSION, the name of lower-case letters, digits, `_` and `.`, 64 at most";
            Error::Usage(format!("--attribute {typed}: write it as {form}"))
        })
}

#[cfg(test)]
mod tests;
