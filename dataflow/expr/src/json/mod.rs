//! JSON in the form that filters read: one word a value, texts left where the client wrote them.
//!
//! A word of eight bytes is a value: a tag in its lowest byte, then 24 bits of length or count, then
//! 32 bits of position. Small integers lie in the word itself. Texts without escapes point into the
//! text of the cell, everything else into the parsed form, where a container is its words one after
//! the other. The words of an object are its keys, ordered by [`key_mark`], then their values; so a
//! key is found by comparing one half word a member. The word of the whole document is the last.
//!
//! **Invariant.** Reading bytes that this module did not write finds nothing or something wrong,
//! but ends, does not recurse without a bound, and does not panic.

mod read;
mod write;

pub(crate) use read::{Document, Found};
pub use write::json_cell;

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
/// A signed integer in the upper 56 bits.
const INT: u8 = 3;
/// Eight bytes at the position.
const INT_FAR: u8 = 4;
const FLOAT: u8 = 5;
/// Bytes of the cell's text.
const TEXT: u8 = 6;
/// Bytes of the parsed form: a text that was written with escapes.
const TEXT_FAR: u8 = 7;
const LIST: u8 = 8;
const OBJECT: u8 = 9;

/// Longest document: lengths and counts have 24 bits.
const DOCUMENT_BYTES_MAX: usize = (1 << 24) - 1;

/// The lower half of a key's word without its lowest bit, which says where the text lies: the
/// length and seven bits of the bytes.
fn key_mark(key: &[u8]) -> u32 {
    let (Some(first), Some(last)) = (key.first(), key.last()) else { return 0 };
    let middle = key.get(key.len() / 2).copied().unwrap_or(0);
    let mixed = first.wrapping_mul(3) ^ last.wrapping_mul(5) ^ middle.wrapping_mul(7);
    (key.len() as u32) << 8 | u32::from(mixed & 127) << 1
}
