//! Key-value parameters: how clients spell numbers, booleans and nested JSON in strings.

use millstream_catalog::model::{Fault, Props};

use crate::pb::common::KeyValuePair;

/// The value of the first parameter with a key.
pub fn find<'a>(pairs: &'a [KeyValuePair], key: &str) -> Option<&'a str> {
    pairs.iter().find(|p| p.key == key).map(|p| p.value.as_str())
}

/// Pairs as the model keeps them; of several with one key the last wins.
pub fn to_props(pairs: Vec<KeyValuePair>) -> Props {
    let mut props: Props = Vec::with_capacity(pairs.len());
    for pair in pairs {
        match props.iter_mut().find(|(key, _)| *key == pair.key) {
            Some((_, value)) => *value = pair.value,
            None => props.push((pair.key, pair.value)),
        }
    }
    props
}

/// Properties as they go over the wire.
pub fn from_props(props: &Props) -> Vec<KeyValuePair> {
    props
        .iter()
        .map(|(key, value)| KeyValuePair { key: key.clone(), value: value.clone() })
        .collect()
}

/// A boolean in the spellings that Go reads.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A boolean parameter that is false when absent and when it cannot be read.
pub fn flag(pairs: &[KeyValuePair], key: &str) -> bool {
    find(pairs, key).and_then(parse_bool).unwrap_or(false)
}

/// An integer parameter; `what(text)` makes the fault when it cannot be read.
pub fn integer(
    pairs: &[KeyValuePair],
    key: &str,
    what: impl Fn(&str) -> Fault,
) -> Result<Option<i64>, Fault> {
    match find(pairs, key) {
        None | Some("") => Ok(None),
        Some(text) => text.trim().parse().map(Some).map_err(|_| what(text)),
    }
}

/// A JSON value in the spelling of a parameter: texts without their quotes.
pub fn text_of(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The JSON object under the key `params`; empty when there is none.
pub fn nested(pairs: &[KeyValuePair]) -> Result<serde_json::Map<String, serde_json::Value>, Fault> {
    match find(pairs, "params") {
        None | Some("") => Ok(serde_json::Map::new()),
        Some(text) => match serde_json::from_str(text) {
            Ok(serde_json::Value::Object(map)) => Ok(map),
            Ok(serde_json::Value::Null) => Ok(serde_json::Map::new()),
            _ => Err(Fault::invalid(format!("params is not a JSON object: {text}"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, value: &str) -> KeyValuePair {
        KeyValuePair { key: key.into(), value: value.into() }
    }

    #[test]
    fn booleans_are_read_as_go_reads_them() {
        assert_eq!(parse_bool("True"), Some(true));
        assert_eq!(parse_bool("0"), Some(false));
        assert_eq!(parse_bool("yes"), None);
    }

    #[test]
    fn the_last_of_several_equal_keys_wins() {
        let props = to_props(vec![pair("a", "1"), pair("b", "2"), pair("a", "3")]);
        assert_eq!(props, vec![("a".into(), "3".into()), ("b".into(), "2".into())]);
    }

    #[test]
    fn nested_parameters_must_be_an_object() {
        assert!(nested(&[pair("params", "[1]")]).is_err());
        assert!(nested(&[pair("params", "{")]).is_err());
        assert_eq!(nested(&[pair("params", "{\"nlist\": 128}")]).unwrap()["nlist"], 128);
        assert!(nested(&[]).unwrap().is_empty());
    }
}
