//! Names of users, roles, objects of grants and groups, and passwords: what is allowed, in
//! Milvus's words.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millstream_catalog::model::limits::{NAME_LENGTH_MAX, USER_NAME_LENGTH_MAX};
use millstream_catalog::model::{Code, Fault};
use millstream_catalog::rbac::password::{PASSWORD_MAX, PASSWORD_MIN};
use millstream_catalog::rbac::privilege::ANY;

fn out_of_range(what: &str, value: usize, min: usize, max: usize) -> Fault {
    let text = format!("{what}: invalid parameter[{value} out of range {min} <= value <= {max}]");
    Fault::new(Code::ParameterInvalid, text)
}

/// Refuses a name that no user can have.
pub fn check_user(name: &str) -> Result<(), Fault> {
    let max = USER_NAME_LENGTH_MAX;
    if name.trim().is_empty() {
        return Err(Fault::invalid("invalid user name: username must be not empty"));
    }
    if name.len() > max {
        return Err(Fault::invalid(format!(
            "invalid user name {name} with length {}, the length of username must be less than \
             {max}",
            name.len()
        )));
    }
    let mut letters = name.chars();
    match letters.next() {
        Some(first) if first.is_ascii_alphabetic() => {}
        first => {
            return Err(Fault::invalid(format!(
                "invalid user name {name}, the first character must be a letter, but got {}",
                first.unwrap_or(' ')
            )));
        }
    }
    match letters.find(|c| !(c.is_ascii_alphanumeric() || "_-.".contains(*c))) {
        None => Ok(()),
        Some(other) => Err(Fault::invalid(format!(
            "invalid user name {name}, username must contain only numbers, letters, underscores, \
             dots, and hyphens, but got {other}"
        ))),
    }
}

/// Refuses a name of this kind.
fn check(what: &str, name: &str) -> Result<(), Fault> {
    if name.trim().is_empty() {
        return Err(Fault::expected(format!("{what} should be not empty"), "not empty", name));
    }
    if name.len() > NAME_LENGTH_MAX {
        let text = format!("the length of {what} must be not greater than limit");
        return Err(out_of_range(&text, name.len(), 0, NAME_LENGTH_MAX));
    }
    let mut letters = name.chars().enumerate();
    if let Some((_, first)) = letters.next()
        && !(first == '_' || first.is_ascii_alphabetic())
    {
        let text = format!("the first character of {what} must be an underscore or letter");
        return Err(Fault::expected(text, '_', first));
    }
    match letters.find(|(_, c)| !(c.is_ascii_alphanumeric() || "_$".contains(*c))) {
        None => Ok(()),
        Some((at, other)) => Err(Fault::invalid(format!(
            "{what} can only contain numbers, letters, dollars and underscores, found {other} at \
             {at}"
        ))),
    }
}

/// Refuses a name that no resource group can have.
pub fn check_resource_group(name: &str) -> Result<(), Fault> {
    check("resource group name", name)
}

/// Refuses a name that no role can have.
pub fn check_role(name: &str) -> Result<(), Fault> {
    check("role name", name)
}

/// Refuses a name that no group of privileges can have.
pub fn check_group(name: &str) -> Result<(), Fault> {
    check("privilege group name", name)
}

/// Refuses a name that no privilege can have.
pub fn check_privilege(name: &str) -> Result<(), Fault> {
    if name == ANY { Ok(()) } else { check("Privilege", name) }
}

/// Refuses a name that no type of objects can have.
pub fn check_object_type(name: &str) -> Result<(), Fault> {
    check("ObjectType", name)
}

/// Refuses a name that nothing a grant is about can have, unless it is about a user.
pub fn check_object(object_type: &str, name: &str) -> Result<(), Fault> {
    match object_type {
        _ if name == ANY => Ok(()),
        "User" => check_user(name),
        _ => check("object name", name),
    }
}

/// Refuses a name that no database of a grant can have.
pub fn check_database(name: &str) -> Result<(), Fault> {
    if name == ANY { Ok(()) } else { crate::names::check_database(name) }
}

/// A password as it is sent: in base64.
pub fn decode_password(sent: &str) -> Result<Vec<u8>, Fault> {
    STANDARD.decode(sent).map_err(|_| Fault::plain("decode password failed: it is not base64"))
}

/// Refuses a password that is too short or too long.
pub fn check_password(password: &[u8]) -> Result<(), Fault> {
    match password.len() {
        PASSWORD_MIN..=PASSWORD_MAX => Ok(()),
        n => Err(out_of_range("invalid password length", n, PASSWORD_MIN, PASSWORD_MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_name_is_accepted() {
        for name in ["root", "a", "A-b.c_9"] {
            assert_eq!(check_user(name), Ok(()), "{name}");
        }
        for name in ["r", "_r$1", "Reader"] {
            assert_eq!(check_role(name), Ok(()), "{name}");
            assert_eq!(check_object("Collection", name), Ok(()), "{name}");
        }
        assert_eq!((check_object("Global", "*"), check_privilege("*")), (Ok(()), Ok(())));
        assert_eq!(check_object("User", "a-b"), Ok(()));
        assert!(check_object("Collection", "a-b").is_err());
        assert!(check_role("*").is_err() && check_group("*").is_err());
    }

    #[test]
    fn a_bad_name_of_a_user_is_named_with_its_mistake() {
        let text = |name: &str| check_user(name).unwrap_err().message;
        assert!(text("").contains("must be not empty") && text(" ").contains("must be not empty"));
        assert!(text("1a").contains("invalid user name 1a, the first character must be a letter"));
        assert!(text("a b").contains("but got  "));
        assert!(text("a:b").contains("but got :"), "the name ends at a colon");
        assert!(text(&"a".repeat(33)).contains("with length 33"));
        assert!(text("größe").contains("but got ö"));
    }

    #[test]
    fn a_bad_name_of_a_role_is_refused_in_the_words_that_clients_know() {
        let text = |name: &str| check_role(name).unwrap_err().message;
        assert!(text("").starts_with("role name should be not empty"));
        assert!(text("1a").starts_with("the first character of role name must be an underscore"));
        assert!(text("a-b").contains("found - at 1"));
        assert_eq!(
            text(&"a".repeat(256)),
            "the length of role name must be not greater than limit: \
             invalid parameter[256 out of range 0 <= value <= 255]"
        );
    }

    #[test]
    fn a_password_has_between_6_and_256_bytes() {
        assert_eq!(
            check_password(b"12345").unwrap_err().message,
            "invalid password length: invalid parameter[5 out of range 6 <= value <= 256]"
        );
        assert_eq!((check_password(&[0; 6]), check_password(&[0; 256])), (Ok(()), Ok(())));
        assert!(check_password(&[0; 257]).is_err());
        assert!(decode_password("not base64!").is_err());
        assert_eq!(decode_password("c2VjcmV0").unwrap(), b"secret");
    }
}
