//! Filters whose values are of a wrong type, too large, or too many.
// tidy: table

use std::collections::HashMap;

use millstream_gateway::pb::QueryRequest;
use millstream_gateway::pb::schema::template_value::Val;
use millstream_gateway::pb::schema::{TemplateArrayValue, TemplateValue};
use millstream_tests::client::query;

use super::super::{Case, INVALID, case};
use super::{ARRAYS, FIELDS, NAME, RELATIONS, Wrong, unreadable, wrong};

fn is_whole(name: &str) -> bool {
    name.starts_with("Int")
}

fn is_number(name: &str) -> bool {
    is_whole(name) || ["Float", "Double"].contains(&name)
}

/// Comparisons of types that do not compare: with constants, and of two fields.
pub(super) fn clashes() -> Vec<Wrong> {
    let constants = [("1", "Int64"), ("1.5", "Double"), ("true", "Bool"), ("'x'", "VarChar")];
    let mut found = Vec::new();
    let element = |&(name, of, _): &(&str, &'static str, _)| (format!("{name}[0]"), of);
    let places = FIELDS.iter().map(|(name, of, _)| ((*name).to_owned(), *of));
    for (place, of) in places.chain(ARRAYS.iter().map(element)) {
        for (constant, other) in constants {
            let fits = match other {
                "Int64" => is_number(of),
                "Double" => ["Float", "Double"].contains(&of),
                other => other == of,
            };
            if fits {
                continue;
            }
            for relation in ["==", "<"] {
                let words = match other {
                    "Double" if is_whole(of) => {
                        format!("cannot cast value to {of}, value: float_val:1.5")
                    }
                    _ => format!(
                        "comparisons between {of}, element_type: None and {other} elementType: \
                         None are not supported"
                    ),
                };
                found.push(wrong(format!("{place} {relation} {constant}"), words));
            }
            let in_list = format!("value '{constant}' in list cannot be casted to {of}");
            found.push(wrong(format!("{place} in [{constant}]"), in_list));
        }
    }
    for (left, right) in
        [("i64", "s"), ("f", "s"), ("b", "s"), ("d", "b"), ("v", "i64"), ("s", "v")]
    {
        for relation in ["==", ">"] {
            let words = "are not supported";
            found.push(wrong(format!("{left} {relation} {right}"), words));
            found.push(wrong(format!("{right} {relation} {left}"), words));
        }
    }
    for relation in RELATIONS {
        let directly = "can not comparisons jsonField directly";
        found.push(wrong(format!("j {relation} 1"), directly));
        found.push(wrong(format!("j {relation} 'x'"), directly));
        let directly = "can not comparisons array fields directly";
        found.push(wrong(format!("ints {relation} 1"), directly));
        found.push(wrong(format!("texts {relation} 'x'"), directly));
        found.push(wrong(format!("ints {relation} i64"), directly));
        let words = "comparisons between JSON, element_type: None";
        found.push(wrong(format!("j['k'] {relation} i64"), words));
        found.push(wrong(format!("j['k'] {relation} s"), words));
        for constant in ["1", "'x'", "true"] {
            let words = "comparisons between FloatVector, element_type: None";
            found.push(wrong(format!("v {relation} {constant}"), words));
        }
    }
    found
}

/// Operands that an operator does not take, and filters that are true or false of nothing.
pub(super) fn operands() -> Vec<Wrong> {
    let mut found = Vec::new();
    for (op, words) in [
        ("+", "'add' can only be used between integer or floating"),
        ("-", "'subtract' can only be used between integer or floating"),
        ("*", "'multiply' can only be used between integer or floating"),
        ("/", "'divide' can only be used between integer or floating"),
        ("%", "'modulo' can only be used between integer or floating"),
        ("**", "'power' can only be used between integer or floating"),
        ("&", "BitAnd is not supported"),
        ("|", "BitOr is not supported"),
        ("^", "BitXor is not supported"),
        ("<<", "ShiftLeft is not supported"),
        (">>", "ShiftRight is not supported"),
    ] {
        for operand in ["s", "b", "v", "ints", "j", "'x'", "true"] {
            found.push(wrong(format!("({operand} {op} 1) == 1"), words));
        }
        if words.contains("not supported") {
            for operand in ["f", "d", "1.5", "floats[0]"] {
                found.push(wrong(format!("({operand} {op} i64) == 1"), words));
            }
        }
    }
    for sign in ["-", "+", "~"] {
        for operand in ["s", "b", "v", "ints", "j", "'x'", "true"] {
            found.push(wrong(format!("{sign}{operand} == 1"), format!("unexpected op: {sign}")));
        }
    }
    for operand in
        ["1", "1.5", "true", "'x'", "[1]", "i64", "b", "s", "j", "ints", "1 + 1", "i64 + 1"]
    {
        let words = format!("predicate is not a boolean expression: {operand}");
        found.push(wrong(operand, words));
        let words = "not op can only be applied on boolean expression";
        found.push(wrong(format!("not ({operand})"), words));
        for word in ["and", "or"] {
            let words = format!("'{word}' can only be used between boolean expressions");
            found.push(wrong(format!("i64 == 1 {word} ({operand})"), words));
        }
    }
    for place in ["i64", "i8", "f", "d", "b", "ints", "v", "flags[0]"] {
        for word in ["like", "not like"] {
            let words = "like operation on non-string or no-json field is unsupported";
            found.push(wrong(format!("{place} {word} 'a%'"), words));
        }
        found.push(wrong(format!("{place} =~ 'a'"), "regex operation on "));
    }
    for text in ["(i64 + 1) in [1]", "1 in [1]", "-i64 in [1]", "i64 == 1 in [true]"] {
        found.push(wrong(text, "'term' can only be used on single field"));
    }
    for right in ["1", "'x'", "i64", "true"] {
        let words = format!("the right-hand side of 'in' must be a list, but got: {right}");
        found.push(wrong(format!("i64 in {right}"), words));
    }
    for item in ["i64", "i64 + 1", "b", "j['k']"] {
        found.push(wrong(format!("i64 in [{item}]"), "a list takes constants only"));
    }
    for (text, words) in [
        ("v is null", "IsNull/IsNotNull operations are not supported on vector fields"),
        ("v is not null", "IsNull/IsNotNull operations are not supported on vector fields"),
        ("1 is null", "'is null' can only be used on a field, but got: 1"),
        ("(i64 + 1) is not null", "'is null' can only be used on a field, but got: (i64+1)"),
        ("f % 2 == 1", "modulo can only apply on integer types"),
        ("v in [1]", "'in' is not supported on FloatVector"),
        ("ints in [1]", "'in' is not supported on Array"),
        ("j in [1]", "can not comparisons jsonField directly"),
    ] {
        found.push(wrong(text, words));
    }
    found
}

/// Numbers that no type has, and results that are none.
pub(super) fn numbers() -> Vec<Wrong> {
    let mut found = Vec::new();
    for number in [
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999",
        "0x8000000000000000",
        "0x10000000000000000",
        "0b1000000000000000000000000000000000000000000000000000000000000000",
        "01000000000000000000000",
        "07777777777777777777777",
        "1e999",
        "-1e999",
        "1.5e400",
        "0x1p99999",
    ] {
        found.push(unreadable(format!("i64 == {number}")));
        found.push(unreadable(format!("i8 in [1, {number}]")));
        found.push(unreadable(format!("d < {number}")));
        found.push(unreadable(format!("json_contains(j['k'], {number})")));
    }
    for text in ["0x", "0xg", "0b2", "0b", "08", "1_000", "1e", "1e+", "1.2.3", "1x", "0x1.8", "--"]
    {
        found.push(unreadable(format!("i64 == {text}")));
    }
    for (text, words) in [
        ("i64 == 1 / 0", "cannot divide by zero: 1/0"),
        ("i64 == 1 % 0", "cannot divide by zero: 1%0"),
        ("d == 1.0 / 0.0", "cannot divide by zero: 1.0/0.0"),
        ("i64 == (5 - 5) / (2 - 2)", "cannot divide by zero"),
        ("i64 == 1 << -1", "shift by a negative number: 1<<-1"),
        ("i64 == 1 >> -2", "shift by a negative number: 1>>-2"),
        ("d == 10 ** 400", "value out of range: 10**400"),
        ("d == -10 ** 401", "value out of range"),
        ("d == 1e308 * 10.0", "value out of range"),
        ("ints[4294967296] == 1", "index 4294967296 of array field ints is out of range"),
        ("ints[9223372036854775807] == 1", "of array field ints is out of range"),
    ] {
        found.push(wrong(text, words));
    }
    found
}

/// More than a filter may have.
pub(super) fn limits() -> Vec<Wrong> {
    let deep = "expression is nested deeper than 128 levels";
    let mut found = Vec::new();
    for count in [129, 1_000, 1_000_000] {
        for (open, close) in
            [("(", ")"), ("not (", ")"), ("!", ""), ("-", ""), ("~", ""), ("+", "")]
        {
            let text = format!("{}i64 == 1{}", open.repeat(count), close.repeat(count));
            found.push(wrong(text, deep));
        }
        let list = format!("i64 in {}1{}", "[".repeat(count), "]".repeat(count));
        found.push(wrong(list, deep));
        let list = format!("json_contains(j['k'], {}1{})", "[".repeat(count), "]".repeat(count));
        found.push(wrong(list, deep));
    }
    // Nothing of it is a list of one field.
    let many = vec!["i64 > 1 or f < 2.5"; 350_000].join(" or ");
    found.push(wrong(many, "expression has more than 400000 predicates and operators"));
    let many = vec!["s like 'a%'"; 500_000].join(" and ");
    found.push(wrong(many, "expression has more than 400000 predicates and operators"));
    let long = vec!["1"; 1_000_001].join(",");
    found.push(wrong(format!("i64 in [{long}]"), "expression has more than 1000000 list items"));
    let regexes = vec!["s =~ 'a'"; 65].join(" or ");
    found.push(wrong(regexes, "a filter may have at most 64 regular expressions"));
    let phrase = format!("phrase_match(words, '{}', 1)", "a ".repeat(2_049));
    found.push(wrong(phrase, "should have at most 4096 bytes, but got: 4098"));
    for pattern in ["(", "[", "a{2,1}", "(?P<", "\\\\p{Nope}", "*", "(?=x)", "a{9999}{9999}"] {
        found.push(wrong(format!("s =~ '{pattern}'"), "invalid regex pattern"));
    }
    for least in ["0", "-1", "1001", "1.5", "'x'", "i64"] {
        let text = format!("text_match(words, 'x', minimum_should_match={least})");
        let words = format!("should be an integer in [1, 1000], but got: {least}");
        found.push(wrong(text, words));
    }
    for (slop, words) in [
        ("-1", "should not be a negative integer"),
        ("4294967296", "exceeds the range of \"uint32\""),
        ("1.5", "should be a const integer expression"),
        ("i64", "should be a const integer expression"),
        ("'1'", "should be a const integer expression"),
    ] {
        found.push(wrong(format!("phrase_match(words, 'x', {slop})"), words));
    }
    for factor in ["0", "1", "-0.5", "1.5", "0.99999999999", "1e-11", "2"] {
        let words = format!("but got {factor}");
        found.push(wrong(format!("random_sample({factor})"), words));
    }
    found
}

/// Templates whose values are missing, or not what their places take.
pub(super) fn templates() -> Vec<Case> {
    let value = |val: Val| TemplateValue { val: Some(val) };
    let text = || value(Val::StringVal("x".to_owned()));
    let flag = || value(Val::BoolVal(true));
    let float = |v: f64| value(Val::FloatVal(v));
    let list = || {
        let data = None;
        value(Val::ArrayVal(TemplateArrayValue { data }))
    };
    let missing = "the value of expression template variable name {x} is not found";
    let clash = "are not supported";
    let mut cases = Vec::new();
    for (filter, given, words) in [
        ("i64 == {x}", None, missing),
        ("i64 in {x}", None, missing),
        ("s like {x}", None, missing),
        ("json_contains(j['k'], {x})", None, missing),
        ("i64 == {x}", Some(("y", value(Val::Int64Val(1)))), missing),
        ("i64 == {x}", Some(("X", value(Val::Int64Val(1)))), missing),
        ("i64 == {x}", Some(("x", text())), clash),
        ("i64 == {x}", Some(("x", flag())), clash),
        ("i64 == {x}", Some(("x", float(1.5))), "cannot cast value to Int64"),
        ("f == {x}", Some(("x", text())), clash),
        ("f == {x}", Some(("x", float(f64::NAN))), "is not finite"),
        ("d < {x}", Some(("x", float(f64::INFINITY))), "is not finite"),
        ("b == {x}", Some(("x", value(Val::Int64Val(1)))), clash),
        ("s == {x}", Some(("x", value(Val::Int64Val(1)))), clash),
        ("v == {x}", Some(("x", float(1.0))), clash),
        ("i64 in {x}", Some(("x", value(Val::Int64Val(1)))), "must be a list"),
        ("s in {x}", Some(("x", text())), "must be a list"),
        ("s like {x}", Some(("x", value(Val::Int64Val(1)))), "expecting StringLiteral"),
        ("s =~ {x}", Some(("x", flag())), "expecting StringLiteral"),
        ("i64 + {x} == 1", Some(("x", text())), "'add' can only"),
        ("{x}", Some(("x", flag())), "predicate is not a boolean expression"),
        ("i64 == {x} and", Some(("x", value(Val::Int64Val(1)))), "cannot parse expression"),
        ("ints[{x}] == 1", Some(("x", value(Val::Int64Val(1)))), "cannot parse expression"),
        ("array_length(ints) == {x}", Some(("x", text())), clash),
        ("i64 == {x}", Some(("x", list())), "i64 == {x}"),
        ("i64 == {x}", Some(("x", TemplateValue { val: None })), "x"),
    ] {
        let given = given.into_iter().map(|(name, value)| (name.to_owned(), value));
        let request = QueryRequest {
            expr_template_values: given.collect::<HashMap<_, _>>(),
            ..query(NAME, filter, &["id"])
        };
        cases.push(case(format!("{filter} by a template"), request, INVALID, words));
    }
    cases
}
