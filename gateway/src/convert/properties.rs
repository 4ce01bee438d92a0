//! Properties of collections and databases: what the values of those with a meaning can be.
//!
//! Other keys are the client's own: they are kept and described back.
//!
//! **Invariant.** What would change answers and is not obeyed is refused by name, never kept.

use millstream_catalog::catalog::CollectionAlter;
use millstream_catalog::model::limits::DATABASE_COLLECTIONS;
use millstream_catalog::model::{ConsistencyLevel, Fault, Props};

use millstream_dataflow::storage::Keep;

use super::params::{check_room, parse_bool};

/// Longest time to live, in seconds: a hundred years.
const TTL_SECONDS_MAX: i64 = 3_155_760_000;

/// The level of reads that ask for none, and what a collection is about: not properties, but
/// altered as if they were.
const CONSISTENCY: &str = "consistency_level";
const DESCRIPTION: &str = "collection.description";

/// Whether segments are compacted without being asked.
const AUTO_COMPACTION: &str = "collection.autocompaction.enabled";
/// How long rows that ended can be read at past times, in seconds.
const RETENTION: &str = "retention_seconds";

/// What the value of a property must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// True or false.
    Switch,
    /// The same, but only false is obeyed.
    Off,
    /// A number, or -1 for no bound.
    Amount,
    /// A whole number from 0 on.
    Count,
    /// How many replicas; only one is kept.
    Replicas,
    /// A time to live.
    Seconds,
    /// A number of seconds.
    Retention,
}

const COLLECTION: &[(&str, Kind)] = &[
    ("collection.ttl.seconds", Kind::Seconds),
    (AUTO_COMPACTION, Kind::Switch),
    (RETENTION, Kind::Retention),
    ("collection.replica.number", Kind::Replicas),
    ("collection.insertRate.max.mb", Kind::Amount),
    ("collection.insertRate.min.mb", Kind::Amount),
    ("collection.upsertRate.max.mb", Kind::Amount),
    ("collection.upsertRate.min.mb", Kind::Amount),
    ("collection.deleteRate.max.mb", Kind::Amount),
    ("collection.deleteRate.min.mb", Kind::Amount),
    ("collection.bulkLoadRate.max.mb", Kind::Amount),
    ("collection.bulkLoadRate.min.mb", Kind::Amount),
    ("collection.queryRate.max.qps", Kind::Amount),
    ("collection.queryRate.min.qps", Kind::Amount),
    ("collection.searchRate.max.vps", Kind::Amount),
    ("collection.searchRate.min.vps", Kind::Amount),
    ("collection.diskProtection.diskQuota.mb", Kind::Amount),
    ("collection.force.deny.writing", Kind::Switch),
    ("collection.force.deny.reading", Kind::Switch),
    ("mmap.enabled", Kind::Switch),
    ("lazyload.enabled", Kind::Switch),
    ("dynamicfield.enabled", Kind::Off),
    ("allow_insert_auto_id", Kind::Off),
    ("namespace.enabled", Kind::Off),
];

const DATABASE: &[(&str, Kind)] = &[
    ("database.replica.number", Kind::Replicas),
    ("database.diskQuota.mb", Kind::Amount),
    (DATABASE_COLLECTIONS, Kind::Count),
    ("database.force.deny.writing", Kind::Switch),
    ("database.force.deny.reading", Kind::Switch),
    ("database.force.deny.ddl", Kind::Switch),
    ("database.force.deny.collection", Kind::Switch),
    ("database.force.deny.partition", Kind::Switch),
    ("database.force.deny.index", Kind::Switch),
    ("database.force.deny.flush", Kind::Switch),
    ("database.force.deny.compaction", Kind::Switch),
    ("mmap.enabled", Kind::Switch),
];

/// Checks properties of a collection.
pub fn check_collection(properties: &Props) -> Result<(), Fault> {
    check("collection", COLLECTION, properties)
}

/// Checks what a client asks to change in a collection. Two things that are not properties are
/// altered under the names of some.
pub fn alter_collection(set: Props, drop: Vec<String>) -> Result<CollectionAlter, Fault> {
    let mut alter = CollectionAlter::default();
    for (key, value) in set {
        match key.as_str() {
            CONSISTENCY => alter.consistency = Some(level(&value)?),
            DESCRIPTION => {
                check_room("the words about the collection", value.len())?;
                alter.description = Some(value);
            }
            _ => alter.set.push((key, value)),
        }
    }
    check_collection(&alter.set)?;
    if let Some(key) = drop.iter().find(|key| [CONSISTENCY, DESCRIPTION].contains(&key.as_str())) {
        return Err(Fault::invalid(format!("{key} can be altered, but not deleted")));
    }
    Ok(CollectionAlter { drop, ..alter })
}

/// A level of consistency by its name or its number.
fn level(text: &str) -> Result<ConsistencyLevel, Fault> {
    let named = match text {
        "Strong" => Some(ConsistencyLevel::Strong),
        "Session" => Some(ConsistencyLevel::Session),
        "Bounded" => Some(ConsistencyLevel::Bounded),
        "Eventually" => Some(ConsistencyLevel::Eventually),
        "Customized" => Some(ConsistencyLevel::Customized),
        number => number.parse().ok().and_then(ConsistencyLevel::from_number),
    };
    named.ok_or_else(|| Fault::invalid(format!("invalid consistency level: {text}")))
}

/// Checks properties of a database.
pub fn check_database(properties: &Props) -> Result<(), Fault> {
    check("database", DATABASE, properties)
}

/// Checks a value that must be true or false.
pub fn check_switch(key: &str, value: &str) -> Result<(), Fault> {
    match parse_bool(value) {
        Some(_) => Ok(()),
        None => Err(Fault::invalid(format!("invalid {key} value: {value}, expected: true, false"))),
    }
}

/// What is kept of a collection's past, by its properties.
pub fn keep(properties: &Props, default_seconds: u64) -> Keep {
    let value = |key: &str| {
        let found = properties.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.trim())
    };
    let seconds = value(RETENTION).and_then(|text| text.parse::<u64>().ok());
    let seconds = seconds.unwrap_or(default_seconds);
    let auto = value(AUTO_COMPACTION).and_then(parse_bool).unwrap_or(true);
    Keep { retention_ms: seconds.saturating_mul(1_000), auto, ..Keep::default() }
}

fn check(what: &str, known: &[(&str, Kind)], properties: &Props) -> Result<(), Fault> {
    for (key, value) in properties {
        if key.is_empty() {
            return Err(Fault::invalid(format!("the key of a {what} property is empty")));
        }
        if let Some((_, kind)) = known.iter().find(|(name, _)| name == key) {
            check_value(what, *kind, key, value)?;
        }
    }
    Ok(())
}

fn check_value(what: &str, kind: Kind, key: &str, value: &str) -> Result<(), Fault> {
    let expected = |expected: &str| {
        Err(Fault::invalid(format!("invalid {key} value: {value}, expected: {expected}")))
    };
    let refused =
        || Err(Fault::invalid(format!("{what} property {key} = {value} is not supported yet")));
    let text = value.trim();
    match kind {
        Kind::Switch => check_switch(key, text),
        Kind::Off => match parse_bool(text) {
            Some(true) => refused(),
            _ => check_switch(key, text),
        },
        Kind::Amount => match text.parse::<f64>() {
            Ok(amount) if amount.is_finite() && (amount >= 0.0 || amount == -1.0) => Ok(()),
            _ => expected("a number from 0 on, or -1"),
        },
        Kind::Count => match text.parse::<u32>() {
            Ok(_) => Ok(()),
            Err(_) => expected("a whole number from 0 on"),
        },
        Kind::Replicas => match text.parse::<u32>() {
            Ok(0 | 1) => Ok(()),
            Ok(_) => refused(),
            Err(_) => expected("a whole number from 0 on"),
        },
        Kind::Retention => match text.parse::<i64>() {
            Ok(0..=TTL_SECONDS_MAX) => Ok(()),
            _ => expected(&format!("a number of seconds in [0, {TTL_SECONDS_MAX}]")),
        },
        Kind::Seconds => match text.parse::<i64>() {
            // The words of the clients' tests.
            Err(_) => Err(Fault::invalid("collection TTL is not a valid positive integer")),
            Ok(-1..=TTL_SECONDS_MAX) => Ok(()),
            Ok(other) => Err(Fault::invalid(format!(
                "collection TTL is out of range, expect [-1, {TTL_SECONDS_MAX}], got {other}"
            ))),
        },
    }
}

#[cfg(test)]
mod tests {
    use millstream_catalog::model::Code;

    use super::*;

    fn outcome(key: &str, value: &str) -> Result<(), Fault> {
        let properties = vec![(key.to_owned(), value.to_owned())];
        check_collection(&properties).and_then(|()| check_database(&properties))
    }

    #[test]
    fn good_values_and_keys_of_the_clients_own_are_kept() {
        for (key, value) in [
            ("mmap.enabled", "True"),
            ("collection.ttl.seconds", "-1"),
            ("collection.ttl.seconds", "3155760000"),
            ("collection.insertRate.max.mb", "0.5"),
            ("collection.diskProtection.diskQuota.mb", "-1"),
            ("collection.replica.number", "1"),
            ("retention_seconds", "0"),
            ("retention_seconds", "86400"),
            ("database.max.collections", "10"),
            ("database.force.deny.writing", "false"),
            ("anything", "at all"),
        ] {
            assert_eq!(outcome(key, value), Ok(()), "{key} = {value}");
        }
    }

    #[test]
    fn a_bad_value_is_refused_and_named() {
        for (key, value) in [
            ("mmap.enabled", "maybe"),
            ("mmap.enabled", ""),
            ("collection.insertRate.max.mb", "fast"),
            ("collection.insertRate.max.mb", "-2"),
            ("collection.insertRate.max.mb", "NaN"),
            ("collection.replica.number", "-1"),
            ("retention_seconds", "-1"),
            ("retention_seconds", "soon"),
            ("retention_seconds", "3155760001"),
            ("collection.replica.number", "2"),
            ("database.max.collections", "1.5"),
            ("database.force.deny.writing", "maybe"),
            ("dynamicfield.enabled", "true"),
        ] {
            let fault = outcome(key, value).unwrap_err();
            assert_eq!(fault.code, Code::ParameterInvalid);
            assert!(fault.message.contains(key) && fault.message.contains(value), "{fault}");
        }
        assert!(outcome("", "x").is_err());
        let text = outcome("collection.ttl.seconds", "-2").unwrap_err().message;
        assert!(text.contains("expect [-1, 3155760000], got -2"), "{text}");
    }

    #[test]
    fn what_is_kept_follows_from_the_properties_or_the_setting() {
        let kept = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            let kept = keep(&pairs.collect(), 7);
            (kept.retention_ms, kept.auto)
        };
        assert_eq!(kept(&[]), (7_000, true));
        assert_eq!(kept(&[(RETENTION, " 90"), (AUTO_COMPACTION, "false")]), (90_000, false));
    }

    #[test]
    fn a_level_and_a_description_are_altered_but_are_not_properties() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let set = vec![pair(CONSISTENCY, "Session"), pair("a", "b"), pair(DESCRIPTION, "words")];
        let alter = alter_collection(set, Vec::new()).unwrap();
        assert_eq!(alter.consistency, Some(ConsistencyLevel::Session));
        assert_eq!(alter.description.as_deref(), Some("words"));
        assert_eq!(alter.set, [pair("a", "b")]);
        let alter = alter_collection(vec![pair(CONSISTENCY, "0")], Vec::new()).unwrap();
        assert_eq!(alter.consistency, Some(ConsistencyLevel::Strong));
        for bad in ["strong", "5", "", "-1"] {
            let fault = alter_collection(vec![pair(CONSISTENCY, bad)], Vec::new()).unwrap_err();
            assert_eq!(
                fault.message,
                format!("invalid consistency level: {bad}: invalid parameter")
            );
        }
        assert!(alter_collection(Vec::new(), vec![CONSISTENCY.to_owned()]).is_err());
    }
}
