//! Key-value parameters: how clients spell numbers, booleans and nested JSON in strings.

use millstream_catalog::model::limits::PROPERTIES_BYTES_MAX;
use millstream_catalog::model::{Code, Fault, Props};

use crate::pb::common::KeyValuePair;

/// The value of the first parameter with a key.
pub fn find<'a>(pairs: &'a [KeyValuePair], key: &str) -> Option<&'a str> {
    pairs.iter().find(|p| p.key == key).map(|p| p.value.as_str())
}

/// Refuses parameters of which two have one key, or that are more than one object can keep.
///
/// `what` is a parameter of what: "type param", "index param".
pub fn check_pairs(what: &str, pairs: &[KeyValuePair]) -> Result<(), Fault> {
    for (index, KeyValuePair { key, value }) in pairs.iter().enumerate() {
        if pairs[..index].iter().any(|before| before.key == *key) {
            let text = format!("duplicated {what} (key={key}) (value={value}) found");
            return Err(Fault::invalid(text));
        }
        // The number of them is bounded before they are compared with each other.
        if index > PARAMS_MAX {
            return Err(Fault::invalid(format!("more than {PARAMS_MAX} {what}s are given")));
        }
    }
    let bytes = pairs.iter().map(|pair| pair.key.len() + pair.value.len()).sum();
    check_room(&format!("all {what}s"), bytes)
}

/// Most parameters of one object.
const PARAMS_MAX: usize = 256;

/// Refuses more bytes of words than one object can keep.
pub fn check_room(what: &str, bytes: usize) -> Result<(), Fault> {
    let max = PROPERTIES_BYTES_MAX;
    if bytes <= max {
        return Ok(());
    }
    let text = format!("{what} take {bytes} bytes, more than {max}: parameter too large");
    Err(Fault::new(Code::ParameterTooLarge, text))
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
    fn parameters_that_are_given_twice_or_are_too_many_are_refused() {
        let text = |pairs: &[KeyValuePair]| check_pairs("type param", pairs).unwrap_err().message;
        let twice = text(&[pair("dim", "4"), pair("max_length", "4"), pair("dim", "8")]);
        assert_eq!(twice, "duplicated type param (key=dim) (value=8) found: invalid parameter");
        let large = text(&[pair("a", &"b".repeat(65_536))]);
        assert!(large.contains("all type params take 65537 bytes, more than 65536"), "{large}");
        let many: Vec<_> = (0..300).map(|n| pair(&n.to_string(), "")).collect();
        assert!(text(&many).contains("more than 256 type params are given"));
        assert_eq!(check_pairs("type param", &many[..256]), Ok(()));
        assert_eq!(check_pairs("type param", &[pair("a", &"b".repeat(65_535))]), Ok(()));
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
