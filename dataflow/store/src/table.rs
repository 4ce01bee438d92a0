//! Tables: columns of equal length in one Arrow IPC file, written from pieces and read in place.

mod input;
mod kind;
mod layout;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use input::{Piece, TableColumn, Values};
pub use kind::ColumnKind;
pub use read::{Column, Table};
pub use write::write_table;

/// Key of a column's metadata that says what its values mean.
pub const MEANING_KEY: &str = "millstream:type";
/// Key of a table's metadata that names the version of the layout.
pub const VERSION_KEY: &str = "millstream:table";
/// The version of the layout that is written, and the only one that is read.
pub const VERSION: &str = "1";
