//! Partition keys: what is refused when the values of rows choose their partitions.

use millstream_catalog::model::{Collection, Fault};
use millstream_expr::Plan;

use crate::convert::params;

/// The property that asks for searches of single values of the partition key only.
pub(super) const ISOLATION: &str = "partitionkey.isolation";

/// Refuses to do something to single partitions when the values of rows choose them.
pub(super) fn check_free(collection: &Collection, what: &str) -> Result<(), Fault> {
    match collection.schema.partition_key() {
        None => Ok(()),
        Some(_) => Err(Fault::plain(format!("disable {what} if partition key mode is used"))),
    }
}

/// Refuses partitions that are named when the values of rows choose them.
pub(super) fn check_unnamed(collection: &Collection) -> Result<(), Fault> {
    match collection.schema.partition_key() {
        None => Ok(()),
        Some(_) => Err(Fault::plain(
            "not support manually specifying the partition names if partition key mode is used",
        )),
    }
}

/// Refuses a search of an isolated collection that is not about values of its partition key.
pub(super) fn check_isolated(collection: &Collection, filter: Option<&Plan>) -> Result<(), Fault> {
    let property = collection.properties.iter().find(|(key, _)| key == ISOLATION);
    if property.and_then(|(_, value)| params::parse_bool(value)) != Some(true) {
        return Ok(());
    }
    let Some(key) = collection.schema.partition_key() else { return Ok(()) };
    match filter.and_then(|plan| plan.values_of(key.id)) {
        Some(_) => Ok(()),
        None => Err(Fault::plain(format!(
            "partition key not found in expr or the expr is invalid when validating partition key \
             isolation, field name = {}",
            key.name
        ))),
    }
}
