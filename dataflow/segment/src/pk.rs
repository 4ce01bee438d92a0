//! The primary-key index: key -> newest live row, and from there to older live rows of the key.
//!
//! Insert never de-duplicates, so a key can have several live rows. They form a chain, newest
//! first; the common key has a chain of one, which costs 16 bytes in one table and nothing else.

use std::hash::BuildHasher;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use crate::RowRef;
use crate::input::Input;

/// A primary key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key<'a> {
    /// Int64.
    Int(i64),
    /// VarChar, as bytes; their order is the order of the text.
    Text(&'a [u8]),
}

/// The keys of a batch, from its pk column.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'a> {
    input: Input<'a>,
    rows: usize,
}

impl<'a> Keys<'a> {
    /// The first `rows` keys of a column of Int64 (fixed) or VarChar (var).
    pub fn new(input: Input<'a>, rows: usize) -> Keys<'a> {
        Keys { input, rows }
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The key of row `i`.
    pub fn get(&self, i: usize) -> Key<'a> {
        match self.input {
            Input::Fixed(_) => Key::Int(self.input.int(i)),
            Input::Var { .. } => Key::Text(self.input.text(i)),
        }
    }
}

/// One key: the key itself, or the hash of its text, and its newest live row.
#[derive(Clone, Copy)]
struct Slot {
    word: u64,
    newest: RowRef,
}

/// Key -> live rows. Texts are compared through `key_of`, which reads the row's pk column.
#[derive(Default)]
pub(crate) struct PkIndex {
    table: HashTable<Slot>,
    /// From a live row to the next older live row of its key; empty without duplicates.
    older: HashMap<RowRef, RowRef>,
    hasher: DefaultHashBuilder,
}

/// What an insert found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// The key had no live row.
    Fresh,
    /// The key's newest live row was this one.
    Duplicate(RowRef),
}

impl PkIndex {
    /// The word stored for a key, and the hash of it.
    fn word(&self, key: Key<'_>) -> (u64, u64) {
        match key {
            Key::Int(int) => (int as u64, self.hasher.hash_one(int)),
            Key::Text(text) => {
                let hash = self.hasher.hash_one(text);
                (hash, hash)
            }
        }
    }

    /// The hash of a stored word: texts store their hash, ints themselves.
    fn rehash(hasher: &DefaultHashBuilder, text: bool, slot: &Slot) -> u64 {
        if text { slot.word } else { hasher.hash_one(slot.word as i64) }
    }

    /// Whether some key may have several live rows.
    pub(crate) fn has_duplicates(&self) -> bool {
        !self.older.is_empty()
    }

    /// Makes `row` the newest live row of `key`.
    pub(crate) fn insert<'k>(
        &mut self,
        key: Key<'_>,
        row: RowRef,
        key_of: impl Fn(RowRef) -> Key<'k>,
    ) -> Inserted {
        let (word, hash) = self.word(key);
        let text = matches!(key, Key::Text(_));
        let hasher = &self.hasher;
        let same = |slot: &Slot| slot.word == word && (!text || key_of(slot.newest) == key);
        match self.table.entry(hash, same, |slot| Self::rehash(hasher, text, slot)) {
            Entry::Vacant(entry) => {
                entry.insert(Slot { word, newest: row });
                Inserted::Fresh
            }
            Entry::Occupied(mut entry) => {
                let before = std::mem::replace(&mut entry.get_mut().newest, row);
                self.older.insert(row, before);
                Inserted::Duplicate(before)
            }
        }
    }

    /// Takes the live rows of `key` for which `ends` is true out of the index, into `ended`.
    pub(crate) fn remove<'k>(
        &mut self,
        key: Key<'_>,
        key_of: impl Fn(RowRef) -> Key<'k>,
        ends: impl Fn(RowRef) -> bool,
        ended: &mut Vec<RowRef>,
    ) {
        let (word, hash) = self.word(key);
        let text = matches!(key, Key::Text(_));
        let same = |slot: &Slot| slot.word == word && (!text || key_of(slot.newest) == key);
        let Ok(mut entry) = self.table.find_entry(hash, same) else { return };
        let mut kept: Option<RowRef> = None;
        let mut next = Some(entry.get().newest);
        let mut head = None;
        while let Some(row) = next {
            next = if self.older.is_empty() { None } else { self.older.remove(&row) };
            if ends(row) {
                ended.push(row);
                continue;
            }
            match kept {
                None => head = Some(row),
                Some(newer) => {
                    self.older.insert(newer, row);
                }
            }
            kept = Some(row);
        }
        match head {
            Some(row) => entry.get_mut().newest = row,
            None => {
                entry.remove();
            }
        }
    }

    /// The live rows of `key`, newest first.
    pub(crate) fn rows<'k>(
        &self,
        key: Key<'_>,
        key_of: impl Fn(RowRef) -> Key<'k>,
    ) -> impl Iterator<Item = RowRef> + '_ {
        let (word, hash) = self.word(key);
        let text = matches!(key, Key::Text(_));
        let same = |slot: &Slot| slot.word == word && (!text || key_of(slot.newest) == key);
        let newest = self.table.find(hash, same).map(|slot| slot.newest);
        std::iter::successors(newest, |row| self.older.get(row).copied())
    }

    /// Forgets all rows of a partition, for which `gone` is true.
    pub(crate) fn forget(&mut self, gone: impl Fn(RowRef) -> bool) {
        let older = &mut self.older;
        self.table.retain(|slot| {
            let mut chain = vec![slot.newest];
            while let Some(row) = chain.last().and_then(|row| older.remove(row)) {
                chain.push(row);
            }
            chain.retain(|&row| !gone(row));
            for pair in chain.windows(2) {
                older.insert(pair[0], pair[1]);
            }
            chain.first().is_some_and(|&row| {
                slot.newest = row;
                true
            })
        });
    }
}
