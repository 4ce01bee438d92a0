//! Decisions against a naive model, and the rules one by one.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::privilege::{ANY, ObjectType, built_in, members, privilege, related};
use super::*;

fn grant(database: &str, object: &str, name: &str) -> Grant {
    let object_type = privilege(name).map_or(ObjectType::Global, |p| p.object_type);
    Grant {
        database: database.to_owned(),
        object_type,
        object: object.to_owned(),
        privilege: name.to_owned(),
        grantor: ROOT.to_owned(),
    }
}

fn user(name: &str, roles: &[&str]) -> User {
    User {
        name: name.to_owned(),
        password: None,
        roles: roles.iter().map(|&r| r.to_owned()).collect(),
        description: String::new(),
        stamp: Timestamp(1),
    }
}

fn access(grants: Vec<Grant>) -> Access {
    let groups = BTreeMap::from([
        ("mine".to_owned(), vec!["Insert".to_owned(), "Load".to_owned()]),
        ("loop".to_owned(), vec!["loop".to_owned(), "mine".to_owned()]),
    ]);
    let role = |name: &str, grants| (name.to_owned(), String::new(), grants);
    let roles = vec![role("r", grants), role(PUBLIC, Vec::new()), role(ADMIN, Vec::new())];
    let users = vec![user("u", &["r"]), user("boss", &[ADMIN]), user(ROOT, &[])];
    Access::new(1, users, roles, groups)
}

fn need<'a>(name: &'a str, database: &'a str, object: &'a str) -> Need<'a> {
    let object_type = privilege(name).map_or(ObjectType::Global, |p| p.object_type);
    Need { privilege: name, object_type, database, object }
}

#[test]
fn nothing_is_allowed_without_a_grant() {
    let access = access(Vec::new());
    for p in privilege::PRIVILEGES {
        assert!(!access.allows("u", &need(p.name, "default", "c")), "{}", p.name);
        assert!(!access.allows("nobody", &need(p.name, "default", "c")), "{}", p.name);
        assert!(access.allows(ROOT, &need(p.name, "default", "c")));
        assert!(access.allows("boss", &need(p.name, "default", "c")));
    }
}

#[test]
fn a_grant_is_about_its_database_and_its_object() {
    let access = access(vec![grant("a", "c", "Insert")]);
    assert!(access.allows("u", &need("Insert", "a", "c")));
    assert!(!access.allows("u", &need("Insert", "b", "c")));
    assert!(!access.allows("u", &need("Insert", "a", "d")));
    assert!(!access.allows("u", &need("Insert", "a", ANY)), "all is more than one");
    assert!(!access.allows("u", &need("Delete", "a", "c")));
}

#[test]
fn a_custom_group_is_its_privileges_and_may_hold_itself() {
    for name in ["mine", "loop"] {
        let access = access(vec![grant("a", ANY, name)]);
        for allowed in ["Insert", "Load", "GetLoadState"] {
            assert!(access.allows("u", &need(allowed, "a", "c")), "{name} {allowed}");
        }
        assert!(!access.allows("u", &need("Search", "a", "c")));
    }
}

#[test]
fn any_privilege_is_about_one_type_and_all_about_every_one() {
    let mut any = grant("a", ANY, ANY);
    any.object_type = ObjectType::Collection;
    let one = access(vec![any]);
    assert!(one.allows("u", &need("Insert", "a", "c")));
    assert!(!one.allows("u", &need("CreateCollection", "a", ANY)));
    let all = access(vec![grant("a", ANY, "All")]);
    assert!(all.allows("u", &need("Insert", "a", "c")));
    assert!(all.allows("u", &need("CreateCollection", "a", ANY)));
    assert!(!all.allows("u", &need("Insert", "b", "c")));
}

#[test]
fn everybody_may_read_and_change_himself_and_nobody_else() {
    let access = access(Vec::new());
    assert!(access.allows("u", &need("UpdateUser", "default", "u")));
    assert!(!access.allows("u", &need("UpdateUser", "default", "boss")));
    // A collection with the name of a user is not the user.
    assert!(!access.allows("u", &need("Insert", "default", "u")));
}

#[test]
fn lists_show_what_a_role_of_ones_own_has_a_grant_on() {
    let here = access(vec![grant("a", "c", "Search"), grant("b", ANY, "CollectionReadOnly")]);
    assert!(here.shows("u", "a", None) && here.shows("u", "b", None));
    assert!(!here.shows("u", "default", None));
    assert!(here.shows("u", "a", Some("c")) && !here.shows("u", "a", Some("d")));
    assert!(here.shows("u", "b", Some("d")));
    assert!(here.shows(ROOT, "x", Some("y")) && !here.shows("nobody", "a", None));
    // To create collections is not to see those of others.
    let creator = access(vec![grant("a", ANY, "CreateCollection")]);
    assert!(creator.shows("u", "a", None) && !creator.shows("u", "a", Some("c")));
}

/// Every privilege that a name stands for, the slow way.
fn named(name: &str) -> Vec<&str> {
    let own: Vec<&str> = match (name, built_in(name)) {
        ("mine" | "loop", _) => vec!["Insert", "Load"],
        (_, Some(group)) => members(group),
        (_, None) => vec![name],
    };
    own.iter().flat_map(|p| std::iter::once(p).chain(related(p))).copied().collect()
}

fn naive(grants: &[Grant], need: &Need<'_>) -> bool {
    let mut allowed = false;
    for grant in grants {
        let mut fits = grant.database == ANY || grant.database == need.database;
        fits &= grant.object == ANY || grant.object == need.object;
        fits &= match grant.privilege.as_str() {
            ANY => grant.object_type == need.object_type,
            "All" => true,
            name => named(name).contains(&need.privilege),
        };
        allowed |= fits;
    }
    allowed
}

fn a_grant() -> impl Strategy<Value = Grant> {
    let names = prop::sample::select(vec![
        "Insert",
        "Load",
        "GetLoadState",
        "DescribeCollection",
        "CreateDatabase",
        "SelectUser",
        "CollectionReadOnly",
        "DatabaseAdmin",
        "ReadWrite",
        "Admin",
        "mine",
        "loop",
        "All",
        ANY,
    ]);
    let word = |words: &[&'static str]| prop::sample::select(words.to_vec());
    let types = prop::sample::select(ObjectType::ALL.to_vec());
    (word(&["a", "b", ANY]), word(&["c", "d", "u", ANY]), names, types).prop_map(
        |(database, object, name, object_type)| {
            let mut grant = grant(database, object, name);
            if name == ANY {
                grant.object_type = object_type;
            }
            grant
        },
    )
}

proptest! {
    #[test]
    fn decisions_are_those_of_a_naive_model(grants in prop::collection::vec(a_grant(), 0..5)) {
        let access = access(grants.clone());
        for p in privilege::PRIVILEGES {
            for database in ["a", "b", "default"] {
                for object in ["c", "d", ANY] {
                    let need = need(p.name, database, object);
                    let due = naive(&grants, &need);
                    prop_assert_eq!(access.allows("u", &need), due, "{:?} {:?}", grants, need);
                    prop_assert!(!access.allows("nobody", &need));
                }
            }
        }
    }
}
