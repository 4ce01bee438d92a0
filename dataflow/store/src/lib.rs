//! Files that last: tables that are mapped without copying, and the store that keeps them.
//!
//! # Table files
//! A table is one Arrow IPC *file* (random access format, metadata version 5, uncompressed,
//! little-endian) of exactly one record batch, so that pandas, DuckDB and every other Arrow tool
//! opens it:
//!
//! | bytes | what |
//! |---|---|
//! | 64 | `ARROW1`, zeros |
//! | message | the schema, padded to a multiple of 64 with its prefix |
//! | message | the record batch: lengths, null counts and places of all buffers, padded likewise |
//! | body | the buffers of all columns in order, each at a multiple of 64 bytes of the file |
//! | 8 | the end of the stream |
//! | footer | the schema once more, and where the record batch is |
//! | 10 | length of the footer, `ARROW1` |
//!
//! | [`ColumnKind`] | Arrow type | buffers |
//! |---|---|---|
//! | `Bool` | UInt8, meaning `bool` | validity, values |
//! | numbers | of the same name | validity, values |
//! | `FloatVector`, `Int8Vector` | FixedSizeList of `item`: Float32 or Int8, not null | validity, none, values |
//! | `Fixed` | FixedSizeBinary | validity, values |
//! | `Utf8`, `Binary` | Utf8, Binary (31-bit offsets) | validity, offsets, values |
//!
//! Every column is nullable, so all tables of a collection have one schema; a column without nulls
//! has no validity. Null rows hold zeros or empty values. A column's metadata can say what its
//! values mean beyond their type, under `millstream:type`. The schema's metadata has the version of
//! this layout under `millstream:table`, beside what the writer of the table adds. A `/` in the name
//! of a column marks values that were derived from the column of the name before it (norms of
//! vectors, values at frequent paths of JSON): readers of the rows can leave them out.
//!
//! [`write_table`] streams values from the pieces of memory that they lie in; [`Table::open`] checks
//! lengths, types and offsets and hands out slices of the file. What guards the values is the CRC32C
//! of the whole file, which is kept outside of it in a [`FileRef`].
//!
//! # The store
//! [`Store`] keeps whole files under unique names. A file is durable before it is visible, never
//! changes, and is never overwritten; a manifest elsewhere says which files count, so one that no
//! manifest names is garbage, whatever the crash that left it. A bucket is read through copies in a
//! local folder, of which the least recently used are deleted when they become too many.
//!
//! **Invariant.** No bytes, however damaged, make this crate panic, hang or allocate more than
//! eight times their length. Nothing is deleted because it cannot be read, but for local copies of
//! what a bucket has.
//!
//! **Absent on purpose.** What columns mean, segments and manifests; caches of values.

mod checksum;
mod error;
mod map;
mod store;
mod table;

pub use checksum::{Verify, Written};
pub use error::{Corrupt, StoreError, WriteError};
pub use map::{ALIGNMENT, Access, aligned, map_file};
pub use millstream_catalog::model::FileRef;
pub use store::{Fault, FileInfo, MemoryFiles, S3Options, Store, StoreOptions};
pub use table::{
    Column, ColumnKind, MEANING_KEY, Piece, Table, TableColumn, VERSION, VERSION_KEY, Values,
    write_table,
};
