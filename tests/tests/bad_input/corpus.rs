//! What the tables hold altogether: how many cases of each class there are, and must be.

use std::collections::HashSet;

use super::{
    Case, access, changes, ddl, expressions, indexes, keys, names, order, reads, schemas, types,
    writes,
};

/// A table that makes cases.
type Table = fn() -> Vec<Case>;

/// Classes of cases of metadata: the fewest cases, and their tables.
const METADATA: [(&str, usize, &[Table]); 6] = [
    (
        "names",
        900,
        &[names::spellings, names::collection_names, names::other_names, names::aliases_and_names],
    ),
    ("schemas", 700, &[schemas::cases, ddl::collections, changes::cases, keys::collections]),
    ("indexes", 700, &[indexes::cases, names::fields_and_indexes]),
    ("properties", 45, &[names::properties_of_all]),
    ("order of calls", 250, &[order::cases, ddl::others, absent]),
    ("users, roles, resource groups", 300, &[access::cases]),
];

/// Classes of cases of data.
const DATA: [(&str, usize, &[Table]); 4] = [
    ("inserts", 420, &[types::inserts]),
    ("searches", 360, &[reads::searches]),
    ("expressions", 1_200, &[expressions::cases]),
    ("deletes, upserts, queries, iterators", 160, &[types::others, writes::cases, queries]),
];

fn absent() -> Vec<Case> {
    ddl::on_missing("never")
}

fn queries() -> Vec<Case> {
    reads::queries(0)
}

/// Counts the requests that differ from all others, says how many there are, and refuses fewer than
/// there must be.
fn count(what: &str, fewest: usize, classes: &[(&str, usize, &[Table])]) {
    let mut all = 0;
    let mut seen = HashSet::new();
    for (class, fewest, tables) in classes {
        let cases = tables.iter().flat_map(|table| table());
        let distinct = cases.filter(|case| seen.insert(format!("{:?}", case.request))).count();
        eprintln!("{what}: {distinct} cases of {class}");
        assert!(distinct >= *fewest, "{distinct} cases of {class}, {fewest} are due");
        all += distinct;
    }
    eprintln!("{what}: {all} cases");
    assert!(all >= fewest, "{all} cases of {what}, {fewest} are due");
}

#[test]
fn there_are_so_many_cases_of_metadata() {
    count("metadata", 2_000, &METADATA);
}

#[test]
fn there_are_so_many_cases_of_data() {
    count("data", 1_690, &DATA);
}
