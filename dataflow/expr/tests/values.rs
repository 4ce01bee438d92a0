//! Which values a filter leaves to one field: what decides where a read looks.

mod support;

use millstream_catalog::model::{CollectionSchema, DataType, FieldId};
use millstream_expr::{PkList, TemplateValue, parse_template};

const NUMBER: FieldId = FieldId(101);
const TENANT: FieldId = FieldId(102);

fn schema() -> CollectionSchema {
    support::schema(&[
        ("id", DataType::Int64),
        ("number", DataType::Int64),
        ("tenant", DataType::VarChar),
        ("other", DataType::VarChar),
        ("a", DataType::Array),
        ("v", DataType::FloatVector),
    ])
}

fn values(text: &str, field: FieldId) -> Option<Vec<String>> {
    let list = TemplateValue::List(vec![TemplateValue::Text("x".into())]);
    let templates = [("one".to_owned(), TemplateValue::Int(1)), ("list".to_owned(), list)];
    let plan = parse_template(text, &schema(), &templates).expect("a good filter");
    let mut values: Vec<String> = match plan.values_of(field)? {
        PkList::Int(values) => values.iter().map(i64::to_string).collect(),
        PkList::Text(values) => values,
    };
    values.sort_unstable();
    values.dedup();
    Some(values)
}

#[test]
fn filters_that_fix_a_field_say_its_values() {
    let texts: [(&str, &[&str]); 12] = [
        ("tenant == 'a'", &["a"]),
        ("'a' == tenant", &["a"]),
        ("tenant in ['b', 'a', 'b']", &["a", "b"]),
        ("tenant in {list}", &["x"]),
        ("tenant == 'a' and id > 7", &["a"]),
        ("id > 7 and (tenant == 'a' or tenant == 'b')", &["a", "b"]),
        ("(tenant == 'a' and id > 7) or (tenant == 'b' and id < 3)", &["a", "b"]),
        (
            "tenant in ['a', 'b', 'c'] and (tenant == 'a' or other == 'c') and id > 0",
            &["a", "b", "c"],
        ),
        ("tenant in ['a', 'b'] and tenant == 'b'", &["b"]),
        ("not (tenant != 'a')", &["a"]),
        ("not (tenant not in ['a', 'b'] or id == 1)", &["a", "b"]),
        ("tenant in []", &[]),
    ];
    for (text, expected) in texts {
        let expected = expected.iter().map(|v| (*v).to_owned()).collect();
        assert_eq!(values(text, TENANT), Some(expected), "{text}");
    }
    let numbers: [(&str, &[&str]); 6] = [
        ("number == 5", &["5"]),
        ("number == {one} or number in [-3, 9]", &["-3", "1", "9"]),
        ("3 <= number < 6", &["3", "4", "5"]),
        ("number > 3 and number < 4", &[]),
        ("number > 0 and number == 9 and tenant == 'a'", &["9"]),
        ("number == 9223372036854775807", &["9223372036854775807"]),
    ];
    for (text, expected) in numbers {
        let expected = expected.iter().map(|v| (*v).to_owned()).collect();
        assert_eq!(values(text, NUMBER), Some(expected), "{text}");
    }
}

#[test]
fn filters_that_leave_a_field_open_say_nothing() {
    for text in [
        "",
        "id == 1",
        "tenant != 'a'",
        "tenant not in ['a']",
        "tenant like 'a%'",
        "tenant > 'a'",
        "tenant is null",
        "tenant == other",
        "other == 'a'",
        "tenant == 'a' or id > 7",
        "not (tenant == 'a')",
        "not (tenant == 'a' and id == 1)",
    ] {
        assert_eq!(values(text, TENANT), None, "{text}");
    }
    for text in ["number > 5", "number + 1 == 3", "a[0] == 3", "number < 5 or number == 9"] {
        assert_eq!(values(text, NUMBER), None, "{text}");
    }
}
