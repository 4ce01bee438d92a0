//! Names of databases, collections, aliases, partitions, fields and indexes: what is allowed, in
//! Milvus's words.

use millstream_catalog::model::limits::NAME_LENGTH_MAX;
use millstream_catalog::model::{Code, Fault};

fn starts_well(name: &str) -> bool {
    name.bytes().next().is_some_and(|b| b == b'_' || b.is_ascii_alphabetic())
}

fn continues_well(name: &str) -> bool {
    name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
}

/// Refuses a name that no collection can have.
pub fn check_collection(name: &str) -> Result<(), Fault> {
    check_of_collection("name", name)
}

/// Refuses a name that no alias of a collection can have.
pub fn check_alias(alias: &str) -> Result<(), Fault> {
    check_of_collection("alias", alias)
}

/// A collection's name or alias: the same rules and nearly the same words.
fn check_of_collection(kind: &str, name: &str) -> Result<(), Fault> {
    if name.is_empty() {
        return Err(Fault::invalid(format!("collection {kind} should not be empty")));
    }
    let why = if name.len() > NAME_LENGTH_MAX {
        format!("the length of a collection {kind} must be less than {NAME_LENGTH_MAX} characters")
    } else if !starts_well(name) {
        format!("the first character of a collection {kind} must be an underscore or letter")
    } else if !continues_well(name) {
        format!("collection {kind} can only contain numbers, letters and underscores")
    } else {
        return Ok(());
    };
    Err(Fault::invalid(format!("Invalid collection {kind}: {name}. {why}")))
}

/// Refuses a name that no partition can have.
pub fn check_partition(name: &str) -> Result<(), Fault> {
    let why = if name.trim().is_empty() {
        "Partition name should not be empty.".to_owned()
    } else if name.len() > NAME_LENGTH_MAX {
        format!("The length of a partition name must be less than {NAME_LENGTH_MAX} characters.")
    } else if !starts_well(name) && !name.as_bytes()[0].is_ascii_digit() {
        "The first character of a partition name must be an underscore or letter.".to_owned()
    } else if !continues_well(name) {
        "Partition name can only contain numbers, letters and underscores.".to_owned()
    } else {
        return Ok(());
    };
    Err(Fault::plain(format!("Invalid partition name: {name}. {why}")))
}

/// Refuses a name that no field can have.
pub fn check_field(name: &str) -> Result<(), Fault> {
    let why = if name.trim().is_empty() {
        "field name should not be empty".to_owned()
    } else if name.len() > NAME_LENGTH_MAX {
        format!(
            "Invalid field name: {name}. The length of a field name must be less than \
             {NAME_LENGTH_MAX} characters."
        )
    } else if !starts_well(name) {
        format!(
            "Invalid field name: {name}. The first character of a field name must be an \
             underscore or letter."
        )
    } else if !continues_well(name) {
        format!(
            "Invalid field name: {name}. Field name can only contain numbers, letters, and \
             underscores."
        )
    } else {
        return Ok(());
    };
    Err(Fault::new(Code::FieldInvalidName, format!("{why}: field name invalid[field={name}]")))
}

/// Refuses a name that no database can have.
pub fn check_database(name: &str) -> Result<(), Fault> {
    let why = if name.is_empty() {
        "database name couldn't be empty".to_owned()
    } else if name.len() > NAME_LENGTH_MAX {
        format!("the length of a database name must be less than {NAME_LENGTH_MAX} characters")
    } else if !starts_well(name) {
        "the first character of a database name must be an underscore or letter".to_owned()
    } else if !continues_well(name) {
        "database name can only contain numbers, letters and underscores".to_owned()
    } else {
        return Ok(());
    };
    let text = format!("{why}: invalid database name[database={name}]");
    Err(Fault::new(Code::DatabaseInvalidName, text))
}

/// Refuses a name that no index can have.
pub fn check_index(name: &str) -> Result<(), Fault> {
    let why = if name.len() > NAME_LENGTH_MAX {
        format!("The length of a index name must be less than {NAME_LENGTH_MAX} characters.")
    } else if !starts_well(name) {
        "The first character of a index name must be an underscore or letter.".to_owned()
    } else if !continues_well(name) {
        "Index name can only contain numbers, letters, and underscores.".to_owned()
    } else {
        return Ok(());
    };
    Err(Fault::plain(format!("Invalid index name: {name}. {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_name_is_accepted_everywhere() {
        for name in ["a", "_b2", "Hello_World"] {
            for check in
                [check_collection, check_partition, check_field, check_database, check_index]
            {
                assert_eq!(check(name), Ok(()));
            }
        }
        assert_eq!(check_partition("1st"), Ok(()));
    }

    #[test]
    fn a_bad_collection_name_is_refused_in_the_words_that_clients_know() {
        let text = |name: &str| check_collection(name).unwrap_err().message;
        assert_eq!(text(""), "collection name should not be empty: invalid parameter");
        assert_eq!(
            text("1a"),
            "Invalid collection name: 1a. the first character of a collection name must be an \
             underscore or letter: invalid parameter"
        );
        assert!(text("a-b").contains(
            "collection name can only contain numbers, letters and underscores: \
                 invalid parameter"
        ));
        let long = "a".repeat(256);
        assert!(text(&long).ends_with("must be less than 255 characters: invalid parameter"));
    }

    #[test]
    fn a_bad_alias_is_called_an_alias() {
        let text = |name: &str| check_alias(name).unwrap_err().message;
        assert_eq!(text(""), "collection alias should not be empty: invalid parameter");
        assert_eq!(
            text("a b"),
            "Invalid collection alias: a b. collection alias can only contain numbers, letters and \
             underscores: invalid parameter"
        );
        assert_eq!(check_alias("a_1"), Ok(()));
    }

    #[test]
    fn a_bad_field_or_database_name_has_its_own_code() {
        assert_eq!(check_field("1a").unwrap_err().code, Code::FieldInvalidName);
        assert!(check_field("1a").unwrap_err().message.starts_with("Invalid field name: 1a"));
        assert_eq!(check_database("1a").unwrap_err().code, Code::DatabaseInvalidName);
        assert!(check_database("x y").unwrap_err().message.contains("[database=x y]"));
    }

    #[test]
    fn a_name_that_is_not_ascii_is_refused_and_nothing_panics() {
        for check in [check_collection, check_partition, check_field, check_database, check_index] {
            assert!(check("größe").is_err());
            assert!(check("é").is_err());
        }
    }
}
