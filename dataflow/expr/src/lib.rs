//! Filters: Milvus's expression language, checked against a schema and evaluated over columns.
//!
//! A gateway calls [`parse`]: text in, a typed [`Plan`] over field ids out, or a [`Fault`] in
//! Milvus's words. The plan travels as bytes ([`Plan::encode`], [`Plan::decode`]) and a worker
//! calls [`Plan::eval`], which clears from a bitset the rows that do not match.
//!
//! The way of a text: `lexer` (winnow tokens, one at a time) → `parse` (operator precedence with
//! explicit stacks, which knows no types) → `check` and `arith` (each piece gets a meaning, typed
//! by the schema) → `lower` (flat nodes, `not` at the leaves, lists and ranges merged, cheap
//! children first) → `eval` (blocks of 4,096 rows, 64 rows a word).
//!
//! # Semantics where versions of Milvus differ, or say nothing
//! - The newest version that accepts an expression decides: every `like` pattern, keywords in both
//!   cases, arithmetic on both sides of every comparison, `is null`.
//! - JSON: a missing key or a value of another type compares false with everything; `!=`, `not in`
//!   and `not (..)` are then true. `exists` is false for a JSON null, and `is null` its opposite.
//! - Numbers in JSON compare by value: `1` equals `1.0`.
//! - Integers compute in 64 bits and wrap; a division or modulo by zero has no value, so the row
//!   matches neither the comparison nor its opposite. Float columns alone compute in single
//!   precision, as their constants do; any mixture in double precision.
//! - A field without a value in a row (no column) matches neither a predicate nor its opposite.
//!
//! **Invariant.** No text and no bytes make this crate panic, recurse beyond
//! [`limits::NESTING_MAX`], or use memory beyond a small multiple of their length.
//!
//! **Absent on purpose.** No I/O, no clock, no threads, no rows: a caller brings slices.

mod arith;
mod call;
mod check;
mod columns;
mod eval;
mod json;
mod lexer;
mod like;
pub mod limits;
mod lower;
mod operand;
mod parse;
mod plan;
mod primary;
mod scalar;
mod token;

use millstream_catalog::model::{CollectionSchema, Fault};

pub use columns::{ColumnView, Columns, VarView};
pub use plan::{PkList, Plan};

/// The value of a `{name}` in a text.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum TemplateValue {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<TemplateValue>),
}

/// The plan of a filter text; a blank text keeps every row.
///
/// # Errors
/// Code 1100, `cannot parse expression: <text>, error: <reason>: invalid parameter`, or
/// `predicate is not a boolean expression: <text>, data type: <type>: invalid parameter`. A
/// gateway puts "failed to create query plan: " or "failed to create delete plan: " before it.
pub fn parse(text: &str, schema: &CollectionSchema) -> Result<Plan, Fault> {
    parse_template(text, schema, &[])
}

/// As [`parse`], with a value for each `{name}` in the text.
///
/// # Errors
/// As [`parse`]; also for a name without a value.
pub fn parse_template(
    text: &str,
    schema: &CollectionSchema,
    templates: &[(String, TemplateValue)],
) -> Result<Plan, Fault> {
    parse::plan(text, schema, templates)
}
