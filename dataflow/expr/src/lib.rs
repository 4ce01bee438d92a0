//! Filters: Milvus's expression language, checked against a schema and evaluated over columns.
//!
//! A gateway calls [`parse`]: text in, a typed [`Plan`] over field ids out, or a [`Fault`] in
//! Milvus's words. The plan travels as bytes ([`Plan::encode`], [`Plan::decode`]) and a worker
//! calls [`Plan::eval`], which clears from a bitset the rows that do not match.
//!
//! The way of a text: `lexer` (winnow tokens, one at a time) → `parse` (operator precedence with
//! explicit stacks, which knows no types) → `check`, `compare`, `call` and `arith` (each piece gets
//! a meaning, typed by the schema) → `lower` (flat nodes, `not` at the leaves, lists and ranges
//! merged, cheap children first) → `eval` (blocks of 4,096 rows, 64 rows a word).
//!
//! # Semantics where versions of Milvus differ, or say nothing
//! - The newest version that accepts an expression decides: every `like` pattern, keywords in both
//!   cases, arithmetic on both sides of every comparison, `is null`, regular expressions. Bit
//!   operations, `**`, `-x`, `+x` and `~x` of fields, which no version evaluates, are evaluated.
//! - Null: a predicate on a field that is null in a row is unknown, so the row matches neither it
//!   nor its opposite; `and`, `or` and `not` are those of three-valued logic. `is null` is never
//!   unknown. A field without a column is null in every row.
//! - JSON: a missing key or a value of another type compares false with everything; `!=`, `not in`
//!   and `not (..)` are then true. `exists` is false for a JSON null, and `is null` its opposite.
//! - Numbers in JSON compare by value: `1` equals `1.0`. Of equal keys the first counts.
//! - An element past the end of an array is unknown, as null is, and `is null`.
//! - Arrays equal element by element; no other comparison of whole arrays is accepted.
//! - Integers compute in 64 bits and wrap; a division or modulo by zero, and a shift by less than
//!   nothing, has no value, so the row matches neither the comparison nor its opposite. A shift by
//!   more than 63 bits shifts everything out. `**` is always a float. Float columns alone compute
//!   in single precision, as their constants do; any mixture in double precision.
//! - `& ^ |` bind looser than comparisons, as in Milvus: `(x & 1) == 1` needs its parentheses.
//! - A regular expression is found anywhere in the text; `^` and `$` tie it to the ends.
//! - `random_sample(p)` keeps a row by a hash of the seed and the row's number, so equal plans
//!   choose equal rows.
//! - Geometry, time and struct forms (`st_..`, `ISO`, `INTERVAL`, `element_filter`, `match_..`,
//!   `$[..]`) are refused by name.
//!
//! # Zone maps
//! Where the columns have [`Zones`], each block is judged before it is read: a leaf that no row of
//! the block can pass, or that all must, is answered from the bounds. Nulls, NaN and cut bounds
//! leave a leaf undecided, never wrongly decided.
//!
//! # Shredding
//! Where a path of a JSON field has a column of its own ([`Columns::shred`]), predicates on it read
//! the column for the rows that have their value there, and the documents only for rows that have
//! something else there. [`frequent_paths`] and [`Shredder`] make such columns.
//!
//! **Invariant.** No text and no bytes make this crate panic, recurse beyond
//! [`limits::NESTING_MAX`], or use memory beyond a small multiple of their length.
//!
//! **Absent on purpose.** No I/O, no clock, no threads, no rows: a caller brings slices, and the
//! index of words that answers `text_match` ([`Columns::text_match`]).

mod arith;
mod binding;
mod call;
mod check;
mod columns;
mod compare;
mod eval;
mod json;
mod lexer;
mod like;
pub mod limits;
mod lower;
mod operand;
mod parse;
mod plan;
mod postfix;
mod primary;
mod regex;
mod scalar;
mod shred;
mod token;
mod zones;

use millstream_catalog::model::{CollectionSchema, Fault};

pub use columns::{ColumnView, Columns, TextMatch, VarView};
pub use json::json_cell;
pub use plan::{MatchKind, PkList, Plan};
pub use shred::{Shred, ShredType, Shredded, ShreddedValues, Shredder, frequent_paths};
pub use zones::{Bounds, Zone, Zones, ZonesBuilder};

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
    parse_seeded(text, schema, templates, 0)
}

/// As [`parse_template`], with the seed of a `random_sample` in the text: equal seeds choose the
/// same rows. Without one in the text the seed does not matter.
///
/// # Errors
/// As [`parse_template`].
pub fn parse_seeded(
    text: &str,
    schema: &CollectionSchema,
    templates: &[(String, TemplateValue)],
    seed: u64,
) -> Result<Plan, Fault> {
    parse::plan(text, schema, templates, seed)
}
