//! From JSON text to a cell: validated and parsed in one pass.

use std::cell::Cell;
use std::fmt;

use millstream_catalog::model::cell::push_json;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

use super::{
    DOCUMENT_BYTES_MAX, FALSE, FLOAT, INT, INT_FAR, LIST, NULL, OBJECT, TEXT, TEXT_FAR, TRUE,
    key_mark,
};

thread_local! {
    /// Buffers of the last document, so that a batch of rows allocates once.
    static SCRATCH: Cell<(Vec<u8>, Vec<u64>)> = const { Cell::new((Vec::new(), Vec::new())) };
}

/// Appends the cell of a JSON value: its text as it is, then the form that filters read.
///
/// `text` is one JSON value in UTF-8, at most 16 MiB long and 128 levels deep. Nothing is appended
/// when it is refused.
///
/// # Errors
/// What is wrong with the text, and where: `expected value at line 1 column 3`.
pub fn json_cell(text: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    if text.len() > DOCUMENT_BYTES_MAX {
        let length = text.len();
        return Err(format!("JSON value of {length} bytes exceeds {DOCUMENT_BYTES_MAX} bytes"));
    }
    let source = std::str::from_utf8(text).map_err(|e| format!("JSON is not UTF-8: {e}"))?;
    let (mut parsed, mut stack) = SCRATCH.take();
    parsed.clear();
    stack.clear();
    let mut writer = Writer { base: text.as_ptr().addr(), parsed, stack };
    let mut reader = serde_json::Deserializer::from_str(source);
    let root = ValueSeed(&mut writer).deserialize(&mut reader);
    let root = root.and_then(|word| reader.end().map(|()| word));
    let result = root.map_err(|e| e.to_string()).map(|word| {
        writer.parsed.extend_from_slice(&word.to_le_bytes());
        push_json(text, &writer.parsed, out);
    });
    SCRATCH.set((writer.parsed, writer.stack));
    result
}

/// The parsed form so far.
struct Writer {
    /// Where the text starts in memory; texts without escapes are parts of it.
    base: usize,
    parsed: Vec<u8>,
    /// Words of the containers that are still open.
    stack: Vec<u64>,
}

fn word(tag: u8, length: usize, at: usize) -> Option<u64> {
    let at = u64::from(u32::try_from(at).ok()?);
    Some(at << 32 | (length as u64) << 8 | u64::from(tag))
}

impl Writer {
    /// Appends bytes to the parsed form.
    fn far<E: Error>(&mut self, tag: u8, length: usize, bytes: &[u8]) -> Result<u64, E> {
        let word = word(tag, length, self.parsed.len()).ok_or_else(|| E::custom("too long"))?;
        self.parsed.extend_from_slice(bytes);
        Ok(word)
    }

    fn near<E: Error>(&self, tag: u8, text: &str) -> Result<u64, E> {
        let at = text.as_ptr().addr() - self.base;
        word(tag, text.len(), at).ok_or_else(|| E::custom("too long"))
    }

    /// Moves the words from `first` on into the parsed form.
    fn close<E: Error>(&mut self, tag: u8, first: usize) -> Result<u64, E> {
        let words = self.stack.get(first..).unwrap_or_default();
        let count = if tag == OBJECT { words.len() / 2 } else { words.len() };
        let word = word(tag, count, self.parsed.len()).ok_or_else(|| E::custom("too long"))?;
        if tag == OBJECT {
            for side in [0, 1] {
                for word in words.iter().skip(side).step_by(2) {
                    self.parsed.extend_from_slice(&word.to_le_bytes());
                }
            }
        } else {
            words.iter().for_each(|word| self.parsed.extend_from_slice(&word.to_le_bytes()));
        }
        self.stack.truncate(first);
        Ok(word)
    }
}

/// Reads one value and returns its word.
struct ValueSeed<'w>(&'w mut Writer);

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = u64;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<u64, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<u64, E> {
        Ok(u64::from(NULL))
    }

    fn visit_bool<E: Error>(self, v: bool) -> Result<u64, E> {
        Ok(u64::from(if v { TRUE } else { FALSE }))
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<u64, E> {
        let near = (v << 8) as u64;
        if near as i64 >> 8 == v {
            return Ok(near | u64::from(INT));
        }
        self.0.far(INT_FAR, 0, &v.to_le_bytes())
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<u64, E> {
        match i64::try_from(v) {
            Ok(v) => self.visit_i64(v),
            Err(_) => self.visit_f64(v as f64),
        }
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<u64, E> {
        self.0.far(FLOAT, 0, &v.to_le_bytes())
    }

    fn visit_borrowed_str<E: Error>(self, v: &'de str) -> Result<u64, E> {
        self.0.near(TEXT, v)
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<u64, E> {
        self.0.far(TEXT_FAR, v.len(), v.as_bytes())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<u64, A::Error> {
        let first = self.0.stack.len();
        while let Some(word) = items.next_element_seed(ValueSeed(self.0))? {
            self.0.stack.push(word);
        }
        self.0.close(LIST, first)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<u64, A::Error> {
        let first = self.0.stack.len();
        while let Some(key) = members.next_key_seed(KeySeed(self.0))? {
            let value = members.next_value_seed(ValueSeed(self.0))?;
            self.0.stack.extend([key, value]);
        }
        let words = self.0.stack.get_mut(first..).unwrap_or_default();
        // Stable: of equal keys the first stays the first.
        words.as_chunks_mut::<2>().0.sort_by_key(|[key, _]| *key as u32 & !1);
        self.0.close(OBJECT, first)
    }
}

/// Reads a key and returns its word: [`key_mark`], the lowest bit set when the text is far.
struct KeySeed<'w>(&'w mut Writer);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = u64;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<u64, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed<'_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, v: &'de str) -> Result<u64, E> {
        Ok(self.0.near::<E>(0, v)? & !0xffff_ffff | u64::from(key_mark(v.as_bytes())))
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<u64, E> {
        let far = self.0.far::<E>(0, v.len(), v.as_bytes())?;
        Ok(far & !0xffff_ffff | u64::from(key_mark(v.as_bytes())) | 1)
    }
}
