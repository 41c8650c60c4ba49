//! A trial of an expression at start: what can never have a value is found before the first call.

use cel::common::ast::Expr;
use cel::{ExecutionError, IdedExpr};

use super::compile::{Compiled, Purpose};
use super::evaluate::{Evaluator, Failure};
use crate::pipeline::observation::AttributeValue;

/// Evaluates once on values of the right kinds. Otherwise, the part that is wrong and why.
pub(super) fn try_out(
    compiled: &Compiled,
    purpose: Purpose,
    evaluator: &Evaluator,
    headers: &[Box<str>],
) -> Result<(), (u64, String)> {
    if compiled.reads_arguments {
        return Ok(()); // of any kind
    }
    match (evaluator.sample(&compiled.root, compiled, headers), purpose) {
        (Ok(AttributeValue::Bool(_)), _) | (Ok(_), Purpose::Attribute) => Ok(()),
        (Ok(_), Purpose::Filter) => Err((compiled.root.id, "a filter is true or false".into())),
        (Err(Failure::Kind), _) => Err((compiled.root.id, "its value is a list or a map".into())),
        (Err(Failure::Error(_)), _) => match blame(&compiled.root, compiled, evaluator, headers) {
            Some((node, error)) => Err((node, error)),
            None => Ok(()),
        },
    }
}

/// The innermost part that cannot have a value, for a reason that other values would not mend.
fn blame(
    node: &IdedExpr,
    compiled: &Compiled,
    evaluator: &Evaluator,
    headers: &[Box<str>],
) -> Option<(u64, String)> {
    let inner: Vec<&IdedExpr> = match &node.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Comprehension(it) => vec![&it.iter_range],
        _ => Vec::new(),
    };
    if let Some(found) = inner.into_iter().find_map(|inner| blame(inner, compiled, evaluator, headers)) {
        return Some(found);
    }
    match evaluator.sample(node, compiled, headers) {
        Err(Failure::Error(error)) if never_mends(&error) => Some((node.id, kinds(&error))),
        _ => None,
    }
}

fn never_mends(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::NoSuchOverload(_)
            | ExecutionError::UnsupportedBinaryOperator(..)
            | ExecutionError::UnexpectedType { .. }
            | ExecutionError::ValuesNotComparable(..)
            | ExecutionError::UnsupportedTargetType { .. }
            | ExecutionError::NotSupportedAsMethod { .. }
            | ExecutionError::UndeclaredReference(_)
            | ExecutionError::InvalidArgumentCount { .. }
            | ExecutionError::UnsupportedIndex(..)
            | ExecutionError::MissingArgumentOrTarget
    )
}

fn kinds(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchOverload(overload) => {
            let name = overload.function().replace('_', "");
            format!("`{name}` is not for {}", overload.argument_types().join(" and "))
        }
        ExecutionError::UnexpectedType { got, want } => format!("this is {got} where {want} is needed"),
        _ => "these kinds of values do not go together".into(),
    }
}
