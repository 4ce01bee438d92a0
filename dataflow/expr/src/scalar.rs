//! Comparing JSON values and elements of arrays with constants: numbers by value,
//! everything else only with its own type.

use std::cmp::Ordering;
use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, Equivalent, HashMap, HashTable};
use serde_json::Value;

use crate::json::Found;
use crate::plan::{Compare, Scalar};

/// 2^63.
const TWO_63: f64 = (1u64 << 63) as f64;

/// The integer that a float equals exactly, if there is one.
fn exact(v: f64) -> Option<i64> {
    // 2^63 is the first float that no i64 equals.
    let inside = v.trunc() == v && (-TWO_63..TWO_63).contains(&v);
    inside.then_some(v as i64)
}

/// A value that can be looked up: equal numbers are equal keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum KeyRef<'a> {
    Bool(bool),
    Int(i64),
    /// Bits of a float that is no integer.
    Float(u64),
    Text(&'a [u8]),
}

fn number_key(v: f64) -> KeyRef<'static> {
    exact(v).map_or(KeyRef::Float(v.to_bits()), KeyRef::Int)
}

/// As [`KeyRef`], owned. Both hash alike.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    Plain(KeyRef<'static>),
    Text(String),
}

impl Key {
    fn borrowed(&self) -> KeyRef<'_> {
        match self {
            Key::Plain(key) => *key,
            Key::Text(text) => KeyRef::Text(text.as_bytes()),
        }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrowed().hash(state);
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self == key.borrowed()
    }
}

/// Constants of a JSON list predicate, for lookup. Each distinct constant has a number.
#[derive(Debug)]
pub(crate) struct ScalarSet {
    plain: HashMap<Key, usize>,
    lists: HashTable<ListEntry>,
    /// Nesting of the deepest list: a value that is deeper equals none.
    depth: usize,
    hasher: DefaultHashBuilder,
    distinct: usize,
}

/// A list among the constants.
#[derive(Debug)]
struct ListEntry {
    hash: u64,
    list: Value,
    number: usize,
}

impl ScalarSet {
    pub(crate) fn new(values: &[Scalar]) -> ScalarSet {
        let mut set = ScalarSet {
            plain: HashMap::new(),
            lists: HashTable::new(),
            depth: 0,
            hasher: DefaultHashBuilder::default(),
            distinct: 0,
        };
        for value in values {
            let next = set.distinct;
            let key = match value {
                Scalar::Bool(v) => Key::Plain(KeyRef::Bool(*v)),
                Scalar::Int(v) => Key::Plain(KeyRef::Int(*v)),
                Scalar::Float(v) => Key::Plain(number_key(*v)),
                Scalar::Text(v) => Key::Text(v.clone()),
                Scalar::List(text) => {
                    set.add_list(serde_json::from_str(text).unwrap_or(Value::Null));
                    continue;
                }
            };
            set.distinct = next + usize::from(*set.plain.entry(key).or_insert(next) == next);
        }
        set
    }

    fn add_list(&mut self, list: Value) {
        let mut state = self.hasher.build_hasher();
        self.depth = self.depth.max(hash_constant(&list, &mut state));
        let hash = state.finish();
        let same = |known: &ListEntry| known.hash == hash && equal(&known.list, &list);
        if let Entry::Vacant(free) = self.lists.entry(hash, same, |entry| entry.hash) {
            free.insert(ListEntry { hash, list, number: self.distinct });
            self.distinct += 1;
        }
    }

    /// How many different constants there are.
    pub(crate) fn distinct(&self) -> usize {
        self.distinct
    }

    /// The number of the constant that equals a value.
    pub(crate) fn find(&self, found: &Found<'_>) -> Option<usize> {
        let key = match found {
            Found::Null => return None,
            Found::Bool(v) => KeyRef::Bool(*v),
            Found::Int(v) => KeyRef::Int(*v),
            Found::Float(v) => number_key(*v),
            Found::Text(v) => KeyRef::Text(v),
            list @ Found::List(_) => return self.find_list(list),
            Found::Object(_) => return None,
        };
        self.plain.get(&key).copied()
    }

    fn find_list(&self, list: &Found<'_>) -> Option<usize> {
        let mut state = self.hasher.build_hasher();
        if self.lists.is_empty() || !hash_found(list, self.depth, &mut state) {
            return None;
        }
        let hash = state.finish();
        let equals = |known: &ListEntry| known.hash == hash && same(list, &known.list);
        self.lists.find(hash, equals).map(|known| known.number)
    }
}

/// Whether a value compares with a constant as wanted; values of different types never do.
pub(crate) fn holds(found: &Found<'_>, op: Compare, constant: &Scalar) -> bool {
    let ordering = match (found, constant) {
        (Found::Int(a), Scalar::Int(b)) => Some(a.cmp(b)),
        (Found::Int(a), Scalar::Float(b)) => mixed(*a, *b),
        (Found::Float(a), Scalar::Int(b)) => mixed(*b, *a).map(Ordering::reverse),
        (Found::Float(a), Scalar::Float(b)) => a.partial_cmp(b),
        (Found::Bool(a), Scalar::Bool(b)) => Some(a.cmp(b)),
        (Found::Text(a), Scalar::Text(b)) => Some(a.cmp(&b.as_bytes())),
        _ => None,
    };
    ordering.is_some_and(|ordering| op.accepts(ordering))
}

/// Orders an integer and a float by value, exactly where they could be equal.
fn mixed(a: i64, b: f64) -> Option<Ordering> {
    match exact(b) {
        Some(b) => Some(a.cmp(&b)),
        None => (a as f64).partial_cmp(&b),
    }
}

impl Compare {
    /// Whether two values in this order compare as wanted.
    #[inline]
    pub(crate) fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Compare::Equal => ordering.is_eq(),
            Compare::Less => ordering.is_lt(),
            Compare::LessEqual => ordering.is_le(),
            Compare::Greater => ordering.is_gt(),
            Compare::GreaterEqual => ordering.is_ge(),
        }
    }
}

/// Whether a value equals a constant, numbers by value. Looks no deeper than the constant is.
fn same(found: &Found<'_>, constant: &Value) -> bool {
    match (found, constant) {
        (Found::Null, Value::Null) => true,
        (Found::Bool(a), Value::Bool(b)) => a == b,
        (Found::Text(a), Value::String(b)) => *a == b.as_bytes(),
        (Found::Int(a), Value::Number(b)) => integer(b) == Some(*a),
        (Found::Float(a), Value::Number(b)) => match b.as_i64() {
            Some(b) => exact(*a) == Some(b),
            None => b.as_f64() == Some(*a),
        },
        (Found::List(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(&a, b))
        }
        _ => false,
    }
}

/// Hashes a constant, equal ones alike; how deep its lists are nested.
fn hash_constant(constant: &Value, state: &mut impl Hasher) -> usize {
    let key = match constant {
        Value::Bool(v) => KeyRef::Bool(*v),
        Value::Number(v) => match integer(v) {
            Some(v) => KeyRef::Int(v),
            None => KeyRef::Float(v.as_f64().unwrap_or(0.0).to_bits()),
        },
        Value::String(v) => KeyRef::Text(v.as_bytes()),
        Value::Array(items) => {
            items.len().hash(state);
            return 1 + items.iter().map(|v| hash_constant(v, state)).max().unwrap_or(0);
        }
        Value::Null | Value::Object(_) => return 0,
    };
    key.hash(state);
    0
}

/// Hashes a value as [`hash_constant`] does what it equals; false when lists are nested deeper.
fn hash_found(found: &Found<'_>, depth: usize, state: &mut impl Hasher) -> bool {
    let key = match found {
        Found::Bool(v) => KeyRef::Bool(*v),
        Found::Int(v) => KeyRef::Int(*v),
        Found::Float(v) => number_key(*v),
        Found::Text(v) => KeyRef::Text(v),
        Found::List(items) => {
            items.len().hash(state);
            return depth > 0 && items.iter().all(|v| hash_found(&v, depth - 1, state));
        }
        Found::Null | Found::Object(_) => return true,
    };
    key.hash(state);
    true
}

/// The integer that a number of JSON equals, if there is one.
fn integer(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| number.as_f64().and_then(exact))
}

/// Whether two constants are equal, numbers by value.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (integer(a), integer(b)) {
            (None, None) => a.as_f64() == b.as_f64(),
            (a, b) => a == b,
        },
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (a, b) => a == b,
    }
}
