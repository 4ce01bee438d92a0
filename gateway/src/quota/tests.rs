//! Quotas over a catalog in memory.

use millstream_catalog::model::Props;

use super::*;

fn props(pairs: &[(&str, &str)]) -> Props {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn a_property_wins_over_the_settings_and_minus_one_is_no_limit() {
    let mut rates = [None; KINDS];
    rates[Kind::InsertBytes as usize] = Some(5.0);
    rates[Kind::Queries as usize] = Some(7.0);
    let given = Given::of_collection(&props(&[
        ("collection.insertRate.max.mb", "2"),
        ("collection.queryRate.max.qps", "-1"),
        ("collection.searchRate.max.vps", "0"),
        ("something", "else"),
    ]));
    let limits = Limits::new("collection=c".to_owned(), Timestamp::MIN, &rates, &given, None);
    let rate = |kind: Kind| limits.bucket(kind).map(Bucket::rate);
    assert_eq!(rate(Kind::InsertBytes), Some(2.0 * settings::MB));
    assert_eq!(rate(Kind::Queries), None);
    assert_eq!(rate(Kind::Vectors), Some(0.0));
    assert_eq!(rate(Kind::Rows), None);
}

#[test]
fn a_state_of_denial_is_about_its_deeds_and_that_of_ddl_about_all_changes() {
    let denied = |pairs| Given::of_database(&props(pairs)).denied;
    let writing = denied(&[("database.force.deny.writing", "true")]);
    assert_eq!(writing.denies(Deed::Write), Some("writing"));
    assert_eq!((writing.denies(Deed::Read), writing.denies(Deed::Collection)), (None, None));
    let ddl = denied(&[("database.force.deny.ddl", "1"), ("database.force.deny.index", "t")]);
    assert_eq!(ddl.denies(Deed::Collection), Some("ddl"));
    assert_eq!(ddl.denies(Deed::Index), Some("index"));
    assert_eq!((ddl.denies(Deed::Write), ddl.denies(Deed::Other)), (None, None));
    let off = denied(&[("database.force.deny.reading", "false")]);
    assert_eq!(off, Denied::default());
}

#[test]
fn an_rpc_is_denied_as_what_it_changes() {
    for (rpc, deed) in [
        ("CreateCollection", Deed::Collection),
        ("LoadPartitions", Deed::Partition),
        ("AlterIndex", Deed::Index),
        ("AlterDatabase", Deed::Other),
        ("CreateResourceGroup", Deed::Other),
        ("TransferReplica", Deed::Other),
    ] {
        assert_eq!(Deed::of_ddl(rpc), deed, "{rpc}");
    }
}

#[test]
fn limits_follow_the_metadata_and_keep_what_they_have_counted() {
    let all: Known<CollectionId> = Known::default();
    let make = |rate: f64| {
        move |before: Option<&Limits>| {
            let mut rates = [None; KINDS];
            rates[Kind::Rows as usize] = Some(rate);
            let given = Given::default();
            Limits::new("collection=c".to_owned(), Timestamp(rate as u64), &rates, &given, before)
        }
    };
    let first = known(&all, CollectionId(1), Timestamp(5), make(5.0));
    first.bucket(Kind::Rows).unwrap().take(0, 50.0);
    let same = known(&all, CollectionId(1), Timestamp(5), make(5.0));
    assert!(Arc::ptr_eq(&first, &same));
    let next = known(&all, CollectionId(1), Timestamp(6), make(6.0));
    let bucket = next.bucket(Kind::Rows).unwrap();
    assert_eq!(bucket.rate(), 6.0);
    assert!(!bucket.is_open(1_000_000_000), "what was used up stays used up");
    let older = known(&all, CollectionId(1), Timestamp(5), make(5.0));
    assert!(Arc::ptr_eq(&next, &older), "a reader of older metadata does not go back");
}
