//! Filters with names, brackets and functions that are not there, or not on such fields.
// tidy: table

use super::{ARRAYS, FIELDS, Wrong, unreadable, wrong};

/// Names and brackets behind them.
pub(super) fn brackets() -> Vec<Wrong> {
    let mut found = Vec::new();
    for name in ["foo", "ID", "I64", "_x", "$meta", "random_sample", "text_match"] {
        for rest in [" == 1", " in [1]", " is null", " like 'x'", "['k'] == 1"] {
            found.push(wrong(format!("{name}{rest}"), format!("field {name} not exist")));
        }
    }
    for (name, of, _) in FIELDS {
        for bracket in ["['k']", "[\"k\"]", "[0]"] {
            let words = format!("{of} data type not supported accessed with []");
            found.push(wrong(format!("{name}{bracket} == 1"), words));
        }
    }
    for (name, ..) in ARRAYS {
        let words = "can only access array field with integer index";
        found.push(wrong(format!("{name}['k'] == 1"), words));
        let words = format!("an element of array field {name} is not accessed with []");
        found.push(wrong(format!("{name}[0][1] == 1"), words.as_str()));
        found.push(wrong(format!("{name}[0]['k'] == 1"), words));
        for bracket in ["[-1]", "[1.5]", "[true]", "[]", "[1, 2]", "[0", "[i64]", "[[0]]", "[*]"] {
            found.push(unreadable(format!("{name}{bracket} == 1")));
        }
    }
    for bracket in
        ["[k]", "['k'][x]", "[-1]", "[1.5]", "[true]", "['k'][]", "[['k']]", "['']", "[\"\"]"]
    {
        for rest in [" == 1", " in [1]", " is null"] {
            found.push(unreadable(format!("j{bracket}{rest}")));
        }
    }
    for place in ["i64", "f", "b", "s", "ints", "v", "1", "'x'"] {
        let words = "exists oerations are only supportted on json field, got:";
        found.push(wrong(format!("exists {place}"), words));
    }
    found.push(wrong("exists j", "exists operations are only supportted on json key"));
    for text in ["$[x] == 1", "$ == 1", "ints[$] == 1"] {
        found.push(unreadable(text));
    }
    found
}

/// Functions that there are not, on the wrong fields, and with the wrong arguments.
pub(super) fn functions() -> Vec<Wrong> {
    let mut found = Vec::new();
    for name in ["st_within", "ST_WITHIN", "match_any", "length", "random", "now"] {
        let words = format!("function {name} is not supported in filters");
        found.push(wrong(format!("{name}(i64, 'POINT (1 2)')"), words.as_str()));
        found.push(wrong(format!("i64 > 1 and not {name}(i64)"), words));
    }
    let contains = "contains operation are only supported on json or array fields now, got: ";
    for kind in ["json_contains", "array_contains"] {
        for suffix in ["", "_all", "_any"] {
            let name = format!("{kind}{suffix}");
            let list = if suffix.is_empty() { "1" } else { "[1]" };
            for place in ["i64", "f", "s", "b", "v", "ints[0]", "1", "'x'"] {
                let words = format!("{contains}{place}");
                found.push(wrong(format!("{name}({place}, {list})"), words));
            }
            let takes = format!("{name} takes a field and a constant");
            found.push(wrong(format!("{name}(ints)"), takes.as_str()));
            found.push(wrong(format!("{name}(ints, {list}, {list})"), takes));
            let other = if suffix.is_empty() { "'x'" } else { "[1, 'x']" };
            let words = "between array element type: Int64 and VarChar";
            found.push(wrong(format!("{name}(ints, {other})"), words));
            if !suffix.is_empty() {
                let words = format!("{name} operation element must be an array");
                found.push(wrong(format!("{name}(ints, 1)"), words));
            }
        }
    }
    for (name, what) in [("text_match", "text match"), ("phrase_match", "phrase match")] {
        for place in ["i64", "j", "b", "v", "ints", "1"] {
            let words = format!("{what} operation on non-string is unsupported: {place}");
            found.push(wrong(format!("{name}({place}, 'x')"), words));
        }
        let words = "field \"s\" does not enable match";
        found.push(wrong(format!("{name}(s, 'x')"), words));
        found.push(wrong(format!("{name}(words)"), format!("{name} takes a field")));
        for other in ["1", "words", "true", "['x']"] {
            let words = format!("{name} takes a string, but got: {other}");
            found.push(wrong(format!("{name}(words, {other})"), words));
        }
    }
    for (text, words) in [
        ("random_sample('x')", "should be a const float expression"),
        ("random_sample(i64)", "should be a const float expression"),
        ("random_sample(0.1, 0.2)", "random_sample takes one sample factor"),
        ("random_sample(0.1) and i64 > 1", "can only be the last expression in the logical and"),
        ("random_sample(0.1) or i64 > 1", "cannot be used in logical or expression"),
        ("i64 > 1 or random_sample(0.1)", "cannot be used in logical or expression"),
        ("(i64 > 1 and random_sample(0.1)) and i64 < 3", "can only be the last expression"),
        ("not random_sample(0.1)", "cannot be used in unary expression"),
        ("array_length(i64) == 1", "only supported on json or array fields now, got: i64"),
        ("array_length('x') == 1", "only supported on json or array fields now, got: 'x'"),
        ("array_length(ints, 1) == 1", "array_length takes one field"),
        ("array_length(ints)", "predicate is not a boolean expression: array_length(ints)"),
        ("array_length(ints) == 'x'", "comparisons between Int64"),
        ("array_length(ints) == true", "comparisons between Int64"),
        ("text_match(words, 'x', 2)", "expecting minimum_should_match="),
        ("i64 > ISO '2025-01-01'", "time literal ISO"),
        ("i64 + INTERVAL 'P1D' > ISO '2025-01-01'", "time literal INTERVAL"),
    ] {
        found.push(wrong(text, words));
    }
    found
}
