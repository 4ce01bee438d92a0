//! What the properties of databases and collections say of quotas.

use millstream_catalog::model::Props;

use super::settings::MB;
use super::{Deed, KINDS, Kind};
use crate::convert::params::parse_bool;

/// The rates of a collection.
const RATES: [(&str, Kind); 5] = [
    ("collection.insertRate.max.mb", Kind::InsertBytes),
    ("collection.upsertRate.max.mb", Kind::UpsertBytes),
    ("collection.deleteRate.max.mb", Kind::DeleteBytes),
    ("collection.searchRate.max.vps", Kind::Vectors),
    ("collection.queryRate.max.qps", Kind::Queries),
];

/// What a database or a collection denies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Denied {
    writing: bool,
    reading: bool,
    ddl: bool,
    collection: bool,
    partition: bool,
    index: bool,
    flush: bool,
    compaction: bool,
}

impl Denied {
    /// What of it denies a deed.
    pub(super) fn denies(self, deed: Deed) -> Option<&'static str> {
        let (what, own) = match deed {
            Deed::Read => return self.reading.then_some("reading"),
            Deed::Write => return self.writing.then_some("writing"),
            Deed::Other => return None,
            Deed::Collection => ("collection", self.collection),
            Deed::Partition => ("partition", self.partition),
            Deed::Index => ("index", self.index),
            Deed::Flush => ("flush", self.flush),
            Deed::Compact => ("compaction", self.compaction),
        };
        if own { Some(what) } else { self.ddl.then_some("ddl") }
    }

    fn set(&mut self, name: &str, on: bool) {
        let state = match name {
            "writing" => &mut self.writing,
            "reading" => &mut self.reading,
            "ddl" => &mut self.ddl,
            "collection" => &mut self.collection,
            "partition" => &mut self.partition,
            "index" => &mut self.index,
            "flush" => &mut self.flush,
            "compaction" => &mut self.compaction,
            _ => return,
        };
        *state = on;
    }
}

/// What properties say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Given {
    /// Rates a second by kind, where one is given; `Some(None)` is no limit.
    pub(super) rates: [Option<Option<f64>>; KINDS],
    pub(super) denied: Denied,
    /// The most bytes that may be stored.
    pub(super) stored: Option<f64>,
}

/// The most megabytes that may be stored of a collection, and of a database.
const STORED: [&str; 2] = ["collection.diskProtection.diskQuota.mb", "database.diskQuota.mb"];

/// A number, unless it stands for none.
fn amount(value: &str) -> Option<f64> {
    value.trim().parse::<f64>().ok().filter(|amount| *amount >= 0.0)
}

impl Given {
    /// Whether some of a collection's properties may be about quotas.
    pub(super) fn is_of_collection(properties: &Props) -> bool {
        properties.iter().any(|(key, _)| {
            RATES.iter().any(|(name, _)| name == key)
                || key == STORED[0]
                || key.starts_with("collection.force.deny.")
        })
    }

    /// What a collection's properties say.
    pub(super) fn of_collection(properties: &Props) -> Given {
        let mut given = Given::default();
        for (key, value) in properties {
            if let Some((_, kind)) = RATES.iter().find(|(name, _)| name == key) {
                given.rates[*kind as usize] = Some(amount(value).map(|rate| rate * kind.unit()));
            }
            given.deny("collection.force.deny.", key, value);
            if key == STORED[0] {
                given.stored = amount(value).map(|mb| mb * MB);
            }
        }
        given
    }

    /// What a database's properties say.
    pub(super) fn of_database(properties: &Props) -> Given {
        let mut given = Given::default();
        for (key, value) in properties {
            given.deny("database.force.deny.", key, value);
            if key == STORED[1] {
                given.stored = amount(value).map(|mb| mb * MB);
            }
        }
        given
    }

    fn deny(&mut self, prefix: &str, key: &str, value: &str) {
        if let Some(name) = key.strip_prefix(prefix) {
            self.denied.set(name, parse_bool(value.trim()) == Some(true));
        }
    }
}
