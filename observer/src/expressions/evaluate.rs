//! Evaluation of one expression on the facts of one observation.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use cel::common::types::{CelBool, CelDouble, CelInt, CelNull, CelString, CelUInt};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::extractors::This;
use cel::{Context, Env, ExecutionError, IdedExpr, Value};
use regex_lite::{Regex, RegexBuilder};

use super::compile::{Compiled, HEADER, MATCHES};
use super::facts::{Fact, Subject, named};
use crate::pipeline::observation::AttributeValue;

/// What all expressions have in common.
pub(super) struct Evaluator {
    env: Arc<Env>,
}

/// Why there is no value although all that was asked for is known.
#[derive(Debug)]
pub(super) enum Failure {
    /// It is a list or a map.
    Kind,
    /// It has none. Not to be shown: it may quote payload.
    Error(ExecutionError),
}

/// The facts of one observation, as expressions ask for them.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    /// `None`: values of the right kinds, to try an expression out.
    subject: Option<Subject<'a>>,
    headers: &'a [Box<str>],
    /// Whether something was asked for that is not known.
    missed: AtomicBool,
    /// The arguments, once they were asked for.
    arguments: OnceLock<Option<Box<dyn Val>>>,
}

/// Regular expressions by their text.
#[derive(Clone, Debug, Default)]
pub(super) struct Patterns(Arc<BTreeMap<String, Regex>>);

/// Memory for one regular expression.
const PATTERN_BYTES: usize = 1 << 20;
/// Longest text that an attribute may have; a longer one is cut.
const MOST_TEXT: usize = 256;
/// Most values in the arguments of a call: a loop goes over as many at most.
const MOST_VALUES: usize = 1024;

impl fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Evaluator")
    }
}

impl Evaluator {
    pub(super) fn new() -> Self {
        Self { env: Arc::new(Env::stdlib()) }
    }

    /// The value on these facts. `None`: something that it needs is not known.
    pub(super) fn evaluate(
        &self,
        expression: &Compiled,
        facts: &Facts<'_>,
    ) -> Result<Option<AttributeValue>, Failure> {
        facts.missed.store(false, Ordering::Relaxed);
        match self.value(&expression.root, expression, facts) {
            Ok(value) => Ok(Some(value)),
            Err(Failure::Error(ExecutionError::NoSuchKey(_))) => Ok(None), // of the arguments
            Err(_) if facts.missed.load(Ordering::Relaxed) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The value of a part of an expression on sample facts.
    pub(super) fn sample(
        &self,
        node: &IdedExpr,
        of: &Compiled,
        headers: &[Box<str>],
    ) -> Result<AttributeValue, Failure> {
        self.value(node, of, &Facts::new(None, headers))
    }

    fn value(&self, node: &IdedExpr, of: &Compiled, facts: &Facts<'_>) -> Result<AttributeValue, Failure> {
        let mut context = Context::with_env(self.env.clone());
        context.set_variable_resolver(facts);
        if !of.patterns.0.is_empty() {
            let patterns = of.patterns.clone();
            let matches = move |This(text): This<Arc<String>>, pattern: Arc<String>| {
                patterns.0.get(&**pattern).is_some_and(|pattern| pattern.is_match(&text))
            };
            // Refused if the language had such a function already: ours is then not needed.
            let _ = context.add_function(MATCHES, matches);
        }
        let value = Value::resolve_val(node, &context).map_err(Failure::Error)?;
        attribute(&*value).ok_or(Failure::Kind)
    }
}

fn attribute(value: &dyn Val) -> Option<AttributeValue> {
    Some(if let Some(it) = value.downcast_ref::<CelBool>() {
        AttributeValue::Bool(*it.inner())
    } else if let Some(it) = value.downcast_ref::<CelInt>() {
        AttributeValue::Int(*it.inner())
    } else if let Some(it) = value.downcast_ref::<CelUInt>() {
        AttributeValue::Int(i64::try_from(*it.inner()).ok()?)
    } else if let Some(it) = value.downcast_ref::<CelDouble>() {
        AttributeValue::Double(*it.inner())
    } else if let Some(it) = value.downcast_ref::<CelString>() {
        let end = it.inner().char_indices().nth(MOST_TEXT).map_or(it.inner().len(), |(at, _)| at);
        AttributeValue::Text(it.inner().get(..end).unwrap_or_default().into())
    } else if value.downcast_ref::<CelNull>().is_some() {
        AttributeValue::Text("".into()) // of the arguments: as if it were not there
    } else {
        return None;
    })
}

impl<'a> Facts<'a> {
    /// Of one observation, or samples; `headers` are those that the pipeline keeps.
    pub(super) fn new(subject: Option<Subject<'a>>, headers: &'a [Box<str>]) -> Self {
        Self { subject, headers, missed: AtomicBool::new(false), arguments: OnceLock::new() }
    }

    fn fact(&self, name: &str) -> Option<Fact<'a>> {
        match (self.subject, name.strip_prefix(HEADER)) {
            (Some(subject), None) => subject.fact(name),
            (Some(subject), Some(header)) => {
                let index = self.headers.iter().position(|kept| **kept == *header)?;
                let index = u8::try_from(index).ok()?;
                let sent = subject.call?.headers.reveal().0.iter().find(|(kept, _)| *kept == index)?;
                Some(Fact::Text((&*sent.1).into()))
            }
            (None, None) => named(name).map(|name| name.kind.sample()),
            (None, Some(_)) => Some(super::facts::Kind::Text.sample()),
        }
    }

    fn arguments(&self) -> Option<&dyn Val> {
        let read = || {
            let text = self.subject?.call?.arguments.as_ref()?.reveal();
            let json: serde_json::Value = serde_json::from_slice(text).ok()?;
            Box::<dyn Val>::try_from(value(json, &mut { MOST_VALUES })?).ok()
        };
        self.arguments.get_or_init(read).as_deref()
    }
}

impl VariableResolver for Facts<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        if name == "arguments" {
            let arguments = self.arguments().map(CowVal::Borrowed);
            self.missed.fetch_or(arguments.is_none(), Ordering::Relaxed);
            return arguments;
        }
        if let Some(name) = name.strip_suffix('?') {
            let is_known = self.fact(name).is_some_and(|fact| fact != Fact::Text("".into()));
            return Some(CowVal::owned(CelBool::from(is_known)));
        }
        if named(name).is_none() && !name.starts_with(HEADER) {
            return None; // of `arguments.user`, the whole is tried as a name first
        }
        let fact = self.fact(name);
        self.missed.fetch_or(fact.is_none(), Ordering::Relaxed);
        Some(match fact? {
            Fact::Text(text) => CowVal::owned(CelString::from(text)),
            Fact::Int(number) => CowVal::owned(CelInt::from(number)),
            Fact::Double(number) => CowVal::owned(CelDouble::from(number)),
        })
    }
}

/// JSON as a value, if it is not too large.
fn value(json: serde_json::Value, room: &mut usize) -> Option<Value> {
    *room = room.checked_sub(1)?;
    Some(match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(it) => Value::Bool(it),
        serde_json::Value::Number(it) => {
            it.as_i64().map(Value::Int).or_else(|| it.as_f64().map(Value::Float))?
        }
        serde_json::Value::String(it) => Value::String(it.into()),
        serde_json::Value::Array(items) => {
            let items: Option<Vec<_>> = items.into_iter().map(|item| value(item, room)).collect();
            Value::List(items?.into())
        }
        serde_json::Value::Object(members) => {
            let members: Option<std::collections::HashMap<String, Value>> =
                members.into_iter().map(|(name, member)| Some((name, value(member, room)?))).collect();
            Value::Map(members?.into())
        }
    })
}

impl Patterns {
    /// Takes a regular expression in. What is wrong with it, otherwise.
    pub(super) fn add(&mut self, pattern: &str) -> Result<(), String> {
        let read = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).build();
        let read = read.map_err(|error| error.to_string())?;
        Arc::make_mut(&mut self.0).insert(pattern.to_owned(), read);
        Ok(())
    }
}
