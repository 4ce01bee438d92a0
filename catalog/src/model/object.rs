//! JSON objects by their text: their members, and two of them as one.
//!
//! The text was validated where it came in, so that finding where a member ends is enough: numbers
//! and texts stay as the client wrote them.
//!
//! **Invariant.** Reading text that is no JSON object finds nothing or something wrong, but ends
//! and does not panic.

use std::borrow::Cow;
use std::collections::HashSet;

/// One member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'t> {
    /// The key, escapes resolved.
    pub key: Cow<'t, [u8]>,
    /// The whole member as it is written: the key in quotes, a colon, and the value.
    pub text: &'t [u8],
}

/// The members of an object, in their order.
pub fn members(text: &[u8]) -> Members<'_> {
    Members { rest: text.trim_ascii_start().strip_prefix(b"{").unwrap_or_default() }
}

/// See [`members`].
#[derive(Clone, Debug)]
pub struct Members<'t> {
    rest: &'t [u8],
}

impl<'t> Iterator for Members<'t> {
    type Item = Member<'t>;

    fn next(&mut self) -> Option<Member<'t>> {
        let rest = self.rest.trim_ascii_start();
        let rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
        let key_end = string_end(rest)?;
        let key = rest.get(1..key_end.checked_sub(1)?)?;
        let behind = rest.get(key_end..)?.trim_ascii_start().strip_prefix(b":")?;
        let value = behind.trim_ascii_start();
        let length = rest.len() - value.len() + value_end(value)?;
        self.rest = rest.get(length..)?;
        Some(Member { key: decoded(key), text: rest.get(..length)? })
    }
}

/// Where a string that begins here ends, its quotes included.
fn string_end(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Where a value that begins here ends.
fn value_end(text: &[u8]) -> Option<usize> {
    match text.first()? {
        b'"' => string_end(text),
        b'{' | b'[' => {
            let (mut at, mut depth) = (0, 0_usize);
            loop {
                match text.get(at)? {
                    b'"' => {
                        at += string_end(text.get(at..)?)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
        _ => {
            let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
            Some(text.iter().position(ends).unwrap_or(text.len()))
        }
    }
}

fn decoded(key: &[u8]) -> Cow<'_, [u8]> {
    if !key.contains(&b'\\') {
        return Cow::Borrowed(key);
    }
    let quoted = [b"\"", key, b"\""].concat();
    match serde_json::from_slice::<String>(&quoted) {
        Ok(key) => Cow::Owned(key.into_bytes()),
        Err(_) => Cow::Borrowed(key),
    }
}

/// An object with the members of `old` whose keys `new` does not have, then those of `new`.
pub fn merged(old: &[u8], new: &[u8]) -> Vec<u8> {
    let given: Vec<Member<'_>> = members(new).collect();
    let keys: HashSet<&[u8]> = given.iter().map(|member| &*member.key).collect();
    let kept = members(old).filter(|member| !keys.contains(&*member.key));
    let mut out = Vec::with_capacity(old.len() + new.len());
    out.push(b'{');
    for text in kept.map(|member| member.text).chain(given.iter().map(|member| member.text)) {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(text);
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn members_are_found_whatever_lies_between_and_in_them() {
        let object =
            br#" { "a" : 1.50 ,"b":{"x":"},\"","y":[1,{"z":2}]} , "c\u0064" :[ ] , "e":null}"#;
        let found: Vec<_> =
            members(object).map(|m| (text(m.key.into_owned()), text(m.text.to_vec()))).collect();
        let wanted = [
            ("a", r#""a" : 1.50"#),
            ("b", r#""b":{"x":"},\"","y":[1,{"z":2}]}"#),
            ("cd", r#""c\u0064" :[ ]"#),
            ("e", r#""e":null"#),
        ];
        assert_eq!(found, wanted.map(|(key, text)| (key.to_owned(), text.to_owned())));
        assert_eq!(members(b"{ }").count(), 0);
    }

    #[test]
    fn new_members_take_the_place_of_old_ones_and_the_others_stay_as_they_are_written() {
        let one = |old: &str, new: &str| text(merged(old.as_bytes(), new.as_bytes()));
        assert_eq!(one(r#"{"size":1e2,"a":{"b":1}}"#, "{}"), r#"{"size":1e2,"a":{"b":1}}"#);
        assert_eq!(
            one(r#"{"size":1e2,"a":{"b":1}}"#, r#"{"\u0061":2,"c":3}"#),
            r#"{"size":1e2,"\u0061":2,"c":3}"#
        );
        assert_eq!(one("{}", r#"{"a": 1}"#), r#"{"a": 1}"#);
        assert_eq!(one("{}", "{}"), "{}");
        let far = r#"{"n":123456789012345678901234567890}"#;
        assert_eq!(one(far, "{}"), far);
    }

    #[test]
    fn text_that_is_no_object_has_an_end() {
        for bad in ["", "{", "[1]", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":[", "{\"a\\", "{,,", "1"] {
            assert!(members(bad.as_bytes()).count() <= 1, "{bad}");
        }
        assert!(members(b"{\"a\":]").count() <= 1);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map(".{0,3}", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn object() -> impl Strategy<Value = Map<String, Value>> {
        prop::collection::btree_map("[a-c\"\\\\é]{0,2}", value(), 0..5)
            .prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        #[test]
        fn a_merge_is_that_of_the_parsed_objects(old in object(), new in object(), wide in any::<bool>()) {
            let write = |map: &Map<String, Value>| match wide {
                true => serde_json::to_vec_pretty(map).unwrap(),
                false => serde_json::to_vec(map).unwrap(),
            };
            let mut wanted = old.clone();
            wanted.extend(new.clone());
            let found = merged(&write(&old), &write(&new));
            let found: Map<String, Value> = serde_json::from_slice(&found).unwrap();
            prop_assert_eq!(found, wanted);
            prop_assert_eq!(members(&write(&old)).count(), old.len());
        }

        #[test]
        fn any_bytes_are_read_to_their_end(
            bytes in any::<Vec<u8>>(),
            text in "[{}\\[\\]\",:\\\\a ]{0,40}",
        ) {
            prop_assert!(members(&bytes).count() <= bytes.len());
            prop_assert!(members(text.as_bytes()).count() <= text.len());
        }
    }
}
