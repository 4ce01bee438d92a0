//! The rates that the server's settings ask for.
//!
//! One setting, `quota`, is a list of `[SCOPE.]KIND=RATE`: `insert_mb=64`, `collection.rows=1000`.
//! Without a scope a rate is that of the whole server; `database`, `collection` and `partition` are
//! rates of each one of them. Two more say when writes are denied: `memory_percent` and
//! `backlog_mb`.

use super::{KINDS, Kind, SCOPES, Scope};

/// Bytes of a megabyte, as Milvus counts.
pub(super) const MB: f64 = (1 << 20) as f64;
/// Writes are denied when the process's own memory is so much of what it may have.
const MEMORY_PERCENT: f64 = 95.0;

/// What the settings say.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Rates a second by scope and kind; without one there is no limit.
    pub rates: [[Option<f64>; KINDS]; SCOPES],
    /// Writes are denied when so much of the memory is used, in percent.
    pub memory_percent: Option<f64>,
    /// Writes are denied when so many bytes of the log are not applied.
    pub backlog_bytes: Option<f64>,
}

impl Default for Settings {
    fn default() -> Settings {
        let rates = [[None; KINDS]; SCOPES];
        Settings { rates, memory_percent: Some(MEMORY_PERCENT), backlog_bytes: None }
    }
}

impl Settings {
    /// Reads the items of the setting; a later one wins.
    ///
    /// # Errors
    /// A text that names the item.
    pub fn parse(items: &[String]) -> Result<Settings, String> {
        let mut settings = Settings::default();
        for item in items {
            settings.set(item).map_err(|why| format!("quota = {item}: {why}"))?;
        }
        Ok(settings)
    }

    fn set(&mut self, item: &str) -> Result<(), String> {
        let (key, value) = item.split_once('=').ok_or("it has no =")?;
        let (key, value) = (key.trim(), value.trim());
        let amount = match value.parse::<f64>() {
            Ok(amount) if amount.is_finite() && amount >= 0.0 => Some(amount),
            Ok(-1.0) => None,
            _ => return Err("the rate is neither a number from 0 on nor -1".to_owned()),
        };
        match key {
            "memory_percent" => {
                self.memory_percent = amount;
                return Ok(());
            }
            "backlog_mb" => {
                self.backlog_bytes = amount.map(|mb| mb * MB);
                return Ok(());
            }
            _ => {}
        }
        let (scope, name) = match key.split_once('.') {
            None => (Scope::Server, key),
            Some((scope, name)) => {
                let found = Scope::ALL.iter().find(|s| s.name() == scope && **s != Scope::Server);
                let scope = *found
                    .ok_or_else(|| format!("{scope} is none of database, collection, partition"))?;
                (scope, name)
            }
        };
        let kind = Kind::ALL.iter().find(|kind| kind.name() == name).copied();
        let kind = kind.ok_or_else(|| {
            let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            format!("{name} is none of {}", names.join(", "))
        })?;
        if !kind.has(scope) {
            return Err(format!("{name} is not counted by {}", scope.name()));
        }
        self.rates[scope as usize][kind as usize] = amount.map(|amount| amount * kind.unit());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(items: &[&str]) -> Result<Settings, String> {
        Settings::parse(&items.iter().map(|&item| item.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn without_items_there_is_no_rate_and_memory_is_protected() {
        let settings = parse(&[]).unwrap();
        assert_eq!(settings.rates, [[None; KINDS]; SCOPES]);
        assert_eq!((settings.memory_percent, settings.backlog_bytes), (Some(95.0), None));
    }

    #[test]
    fn an_item_sets_one_rate_and_a_later_one_wins() {
        let settings = parse(&[
            "insert_mb=1.5",
            "collection.search_vps = 10",
            "database.ddl=3",
            "database.ddl=-1",
            "memory_percent=-1",
            "backlog_mb=2",
        ])
        .unwrap();
        let rate = |scope: Scope, kind: Kind| settings.rates[scope as usize][kind as usize];
        assert_eq!(rate(Scope::Server, Kind::InsertBytes), Some(1.5 * MB));
        assert_eq!(rate(Scope::Collection, Kind::Vectors), Some(10.0));
        assert_eq!(rate(Scope::Database, Kind::Ddl), None);
        assert_eq!((settings.memory_percent, settings.backlog_bytes), (None, Some(2.0 * MB)));
    }

    #[test]
    fn an_item_that_makes_no_sense_is_an_error_that_names_it() {
        for (bad, why) in [
            ("insert_mb", "no ="),
            ("insert_mb=", "neither a number"),
            ("insert_mb=-2", "neither a number"),
            ("insert_mb=NaN", "neither a number"),
            ("inserts=1", "inserts is none of"),
            ("shard.rows=1", "shard is none of"),
            ("server.rows=1", "server is none of"),
            ("partition.ddl=1", "not counted by partition"),
        ] {
            let error = parse(&[bad]).unwrap_err();
            assert!(error.contains(bad) && error.contains(why), "{error}");
        }
    }
}
