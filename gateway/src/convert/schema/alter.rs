//! Changes of a field in place: its largest values, its description, how it is held in memory.

use millstream_catalog::catalog::FieldAlter;
use millstream_catalog::model::limits::{ARRAY_CAPACITY_MAX, VARCHAR_LENGTH_MAX};
use millstream_catalog::model::{DataType, DefaultValue, Fault, FieldSchema, Props};

use crate::convert::properties;

/// How data are held; older clients spell it with an underscore.
const MMAP: &str = "mmap.enabled";
const MMAP_OLD: &str = "mmap_enabled";
const MAX_LENGTH: &str = "max_length";
const MAX_CAPACITY: &str = "max_capacity";
const DESCRIPTION: &str = "field.description";

fn key_of(key: String) -> String {
    if key == MMAP_OLD { MMAP.to_owned() } else { key }
}

/// Checks what a client asks to change in a field.
pub fn alter_field(
    field: &FieldSchema,
    set: Props,
    drop: Vec<String>,
) -> Result<FieldAlter, Fault> {
    let mut alter = FieldAlter::default();
    for (key, value) in set {
        let key = key_of(key);
        match key.as_str() {
            MMAP => properties::check_switch(&key, &value)?,
            MAX_LENGTH => alter.max_length = Some(max_length(field, &value)?),
            MAX_CAPACITY => alter.max_capacity = Some(max_capacity(field, &value)?),
            DESCRIPTION => {
                alter.description = Some(value);
                continue;
            }
            _ => {
                let text = format!("{key} does not allow update in collection field param");
                return Err(Fault::invalid(text));
            }
        }
        alter.set.push((key, value));
    }
    for key in drop.into_iter().map(key_of) {
        if key != MMAP {
            let text = format!("{key} is not allowed to drop in collection field param");
            return Err(Fault::invalid(text));
        }
        alter.drop.push(key);
    }
    Ok(alter)
}

fn max_length(field: &FieldSchema, text: &str) -> Result<u32, Fault> {
    let name = &field.name;
    if field.data_type != DataType::VarChar && field.element_type != Some(DataType::VarChar) {
        let text = format!("{name} can not modify the maxlength for non-string types");
        return Err(Fault::invalid(text));
    }
    let Ok(length) = text.parse::<i64>() else {
        let text =
            format!("{MAX_LENGTH} should be an integer, but got {text}, field name = {name}");
        return Err(Fault::invalid(text));
    };
    let length = match u32::try_from(length) {
        Ok(length) if (1..=VARCHAR_LENGTH_MAX).contains(&length) => length,
        _ if length > 0 => {
            return Err(Fault::invalid(format!(
                "{length} exceeds the maximum allowed value {VARCHAR_LENGTH_MAX}, \
                 field name = {name}"
            )));
        }
        _ => {
            return Err(Fault::invalid(format!(
                "the maximum length specified for a VarChar should be in (0, \
                 {VARCHAR_LENGTH_MAX}], but got {length}, field name = {name}"
            )));
        }
    };
    if let Some(DefaultValue::Text(default)) = &field.default_value
        && default.len() > length as usize
    {
        return Err(Fault::invalid(format!(
            "the length ({}) of default_value of field {name} exceeds max length ({length})",
            default.len()
        )));
    }
    Ok(length)
}

fn max_capacity(field: &FieldSchema, text: &str) -> Result<u32, Fault> {
    let name = &field.name;
    if field.data_type != DataType::Array {
        let text = format!("{name} can not modify the maxcapacity for non-array types");
        return Err(Fault::invalid(text));
    }
    match text.parse::<i64>().map(u32::try_from) {
        Ok(Ok(capacity)) if (1..=ARRAY_CAPACITY_MAX).contains(&capacity) => Ok(capacity),
        Ok(_) => Err(Fault::invalid(format!(
            "the maximum capacity specified for a Array should be in (0, {ARRAY_CAPACITY_MAX}], \
             but got {text}, field name = {name}"
        ))),
        Err(_) => Err(Fault::invalid(format!(
            "the value for {MAX_CAPACITY} of field {name} must be an integer, but got {text}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use millstream_catalog::model::{Code, FieldId};

    use super::*;

    fn text_field() -> FieldSchema {
        FieldSchema {
            max_length: 64,
            default_value: Some(DefaultValue::Text("four".to_owned())),
            ..FieldSchema::new(FieldId(101), "word", DataType::VarChar)
        }
    }

    fn altered(field: &FieldSchema, key: &str, value: &str) -> Result<FieldAlter, Fault> {
        alter_field(field, vec![(key.to_owned(), value.to_owned())], Vec::new())
    }

    #[test]
    fn a_new_length_is_a_parameter_and_a_limit() {
        let alter = altered(&text_field(), "max_length", "128").unwrap();
        assert_eq!(alter.max_length, Some(128));
        assert_eq!(alter.set, [("max_length".to_owned(), "128".to_owned())]);
    }

    #[test]
    fn both_spellings_of_mmap_are_one_key_and_a_description_is_none() {
        let alter = altered(&text_field(), "mmap_enabled", "True").unwrap();
        assert_eq!(alter.set, [("mmap.enabled".to_owned(), "True".to_owned())]);
        let alter = alter_field(&text_field(), Vec::new(), vec!["mmap_enabled".to_owned()]);
        assert_eq!(alter.unwrap().drop, ["mmap.enabled"]);
        let alter = altered(&text_field(), "field.description", "words").unwrap();
        assert_eq!((alter.description.as_deref(), alter.set.len()), (Some("words"), 0));
    }

    #[test]
    fn what_cannot_be_altered_is_refused_in_the_words_that_clients_know() {
        for (key, value, text) in [
            ("max_length", "65536", "65536 exceeds the maximum allowed value 65535"),
            ("max_length", "0", "(0, 65535]"),
            ("max_length", "-1", "(0, 65535]"),
            ("max_length", "many", "max_length should be an integer, but got many"),
            ("max_length", "3", "the length (4) of default_value of field word exceeds"),
            ("max_capacity", "3", "word can not modify the maxcapacity for non-array types"),
            ("mmap.enabled", "perhaps", "invalid mmap.enabled value: perhaps"),
            ("dim", "8", "dim does not allow update in collection field param"),
        ] {
            let fault = altered(&text_field(), key, value).unwrap_err();
            assert_eq!(fault.code, Code::ParameterInvalid);
            assert!(fault.message.contains(text), "{key} = {value}: {fault}");
        }
        let number = FieldSchema::new(FieldId(100), "n", DataType::Int64);
        let text = altered(&number, "max_length", "3").unwrap_err().message;
        assert!(text.contains("n can not modify the maxlength for non-string types"), "{text}");
        let dropped = alter_field(&number, Vec::new(), vec!["dim".to_owned()]).unwrap_err();
        assert!(dropped.message.contains("dim is not allowed to drop in collection field param"));
        let list = FieldSchema { element_type: Some(DataType::VarChar), ..text_field() };
        let list = FieldSchema { data_type: DataType::Array, default_value: None, ..list };
        assert_eq!(altered(&list, "max_capacity", "4096").unwrap().max_capacity, Some(4_096));
        assert_eq!(altered(&list, "max_length", "1").unwrap().max_length, Some(1));
        for bad in ["0", "4097", "-1"] {
            let text = altered(&list, "max_capacity", bad).unwrap_err().message;
            assert!(text.contains("should be in (0, 4096]"), "{text}");
        }
    }
}
