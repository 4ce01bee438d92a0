//! Reading one place of a JSON cell: nothing is parsed, nothing is built.

use millstream_catalog::model::cell::{json_parsed, json_text};

use super::{FALSE, FLOAT, INT, INT_FAR, LIST, NULL, OBJECT, TEXT, TEXT_FAR, TRUE, key_mark};

/// A JSON cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Document<'a> {
    text: &'a [u8],
    parsed: &'a [u8],
}

/// A value of a JSON document or of an array.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// UTF-8.
    Text(&'a [u8]),
    List(Items<'a>),
    Object(Items<'a>),
}

/// The values of a list, or the keys and the values of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Items<'a> {
    document: Document<'a>,
    keys: &'a [[u8; 8]],
    values: &'a [[u8; 8]],
}

/// Most members of an object whose keys are compared one by one.
const FEW_KEYS: usize = 16;

impl<'a> Document<'a> {
    pub(crate) fn new(cell: &'a [u8]) -> Document<'a> {
        Document { text: json_text(cell), parsed: json_parsed(cell) }
    }

    /// The value at a path; `None` when a key or index is missing. Of equal keys the first counts.
    pub(crate) fn find(self, steps: &[String]) -> Option<Found<'a>> {
        let mut value = self.root()?;
        for step in steps {
            value = match value {
                Found::Object(members) => members.member(step.as_bytes())?,
                Found::List(items) => items.get(step.parse().ok()?)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// The whole document; `None` for an empty cell.
    pub(crate) fn root(self) -> Option<Found<'a>> {
        self.value(*self.parsed.last_chunk()?)
    }

    fn value(self, word: [u8; 8]) -> Option<Found<'a>> {
        let word = u64::from_le_bytes(word);
        let (length, at) = ((word >> 8 & 0xff_ffff) as usize, (word >> 32) as usize);
        Some(match word as u8 {
            NULL => Found::Null,
            FALSE => Found::Bool(false),
            TRUE => Found::Bool(true),
            INT => Found::Int(word as i64 >> 8),
            INT_FAR => Found::Int(i64::from_le_bytes(self.far(at)?)),
            FLOAT => Found::Float(f64::from_le_bytes(self.far(at)?)),
            TEXT => Found::Text(self.text.get(at..at + length)?),
            TEXT_FAR => Found::Text(self.parsed.get(at..at + length)?),
            LIST => {
                let values = self.words(at, length)?;
                Found::List(Items { document: self, keys: &[], values })
            }
            OBJECT => {
                let (keys, values) = self.words(at, 2 * length)?.split_at(length);
                Found::Object(Items { document: self, keys, values })
            }
            _ => return None,
        })
    }

    fn far(self, at: usize) -> Option<[u8; 8]> {
        self.parsed.get(at..)?.first_chunk().copied()
    }

    fn words(self, at: usize, count: usize) -> Option<&'a [[u8; 8]]> {
        Some(self.parsed.get(at..at + 8 * count)?.as_chunks().0)
    }

    fn key(self, word: u64) -> Option<&'a [u8]> {
        let (length, at) = ((word >> 8 & 0xff_ffff) as usize, (word >> 32) as usize);
        let bytes = if word & 1 == 0 { self.text } else { self.parsed };
        bytes.get(at..at + length)
    }
}

fn mark(word: &[u8; 8]) -> u32 {
    u64::from_le_bytes(*word) as u32 & !1
}

impl<'a> Items<'a> {
    /// How many values there are.
    pub(crate) fn len(self) -> usize {
        self.values.len()
    }

    /// The values in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = Found<'a>> {
        self.values.iter().map_while(move |word| self.document.value(*word))
    }

    /// The keys of an object with their values; of equal keys, the first comes first.
    pub(crate) fn members(self) -> impl Iterator<Item = (&'a [u8], Found<'a>)> {
        let pairs = self.keys.iter().zip(self.values);
        pairs.map_while(move |(key, word)| {
            let key = self.document.key(u64::from_le_bytes(*key))?;
            Some((key, self.document.value(*word)?))
        })
    }

    fn get(self, index: usize) -> Option<Found<'a>> {
        self.document.value(*self.values.get(index)?)
    }

    /// The value of a key.
    pub(crate) fn member(self, key: &[u8]) -> Option<Found<'a>> {
        let want = key_mark(key);
        let first = if self.keys.len() <= FEW_KEYS {
            0
        } else {
            self.keys.partition_point(|word| mark(word) < want)
        };
        for (index, word) in self.keys.iter().enumerate().skip(first) {
            let mark = mark(word);
            if mark == want && self.document.key(u64::from_le_bytes(*word)) == Some(key) {
                return self.get(index);
            }
            if mark > want {
                return None;
            }
        }
        None
    }
}
