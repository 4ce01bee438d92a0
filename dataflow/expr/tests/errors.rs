//! Filters that are refused: code 1100, and a text that names what is wrong.

mod support;

use millstream_catalog::model::{CollectionSchema, DataType};
use millstream_expr::parse;

const RELATIONS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];
const BINARY: [&str; 20] = [
    "==", "!=", "<", "<=", ">", ">=", "*", "/", "%", "**", "&", "|", "^", "<<", ">>", "&&", "||",
    "and", "or", "in",
];

fn schema() -> CollectionSchema {
    let mut schema = support::schema(&[
        ("id", DataType::Int64),
        ("v", DataType::FloatVector),
        ("i8", DataType::Int8),
        ("i16", DataType::Int16),
        ("i32", DataType::Int32),
        ("f", DataType::Float),
        ("d", DataType::Double),
        ("b", DataType::Bool),
        ("s", DataType::VarChar),
        ("plain", DataType::VarChar),
        ("j", DataType::Json),
        ("a", DataType::Array),
        ("ta", DataType::Array),
        ("fa", DataType::Array),
    ]);
    schema.fields.iter_mut().filter(|f| f.name == "plain").for_each(|f| f.type_params.clear());
    schema
}

/// Checks every case of a family; returns how many there are.
fn refused(cases: &[(String, String)]) -> usize {
    let schema = schema();
    let mut wrong = Vec::new();
    for (text, words) in cases {
        match parse(text, &schema) {
            Ok(_) => wrong.push(format!("accepted: {text}")),
            Err(fault) => {
                let fine = fault.code as i32 == 1100
                    && fault.message.contains(words.as_str())
                    && fault.message.ends_with(": invalid parameter");
                if !fine {
                    wrong.push(format!("{text}\n  wanted {words}\n  got {}", fault.message));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    cases.len()
}

/// A field's type name, as errors have it.
fn type_name(field: &str) -> &'static str {
    schema().field(field).expect("a field").data_type.name()
}

fn clashes() -> Vec<(String, String)> {
    let constants =
        [("1", "Int64"), ("1.5", "Double"), ("true", "Bool"), ("'x'", "VarChar"), ("[1]", "Array")];
    let mut cases = Vec::new();
    for field in ["id", "i8", "i16", "i32", "f", "d", "b", "s", "v", "a[0]", "ta[1]", "fa[2]"] {
        let name = match field {
            "a[0]" => "Int64",
            "ta[1]" => "VarChar",
            "fa[2]" => "Float",
            field => type_name(field),
        };
        for (constant, other) in constants {
            let whole = matches!(name, "Int8" | "Int16" | "Int32" | "Int64");
            let number = whole || matches!(name, "Float" | "Double");
            let fits = match other {
                "Int64" => number,
                "Double" => matches!(name, "Float" | "Double"),
                other => other == name,
            };
            if fits {
                continue;
            }
            for relation in RELATIONS {
                let cast = format!("cannot cast value to {name}, value: float_val:1.5");
                let left = format!("comparisons between {name}, element_type: None and {other}");
                let right = format!("comparisons between {other}, element_type:");
                let is_cast = whole && other == "Double";
                let words = |side: String| if is_cast { cast.clone() } else { side };
                cases.push((format!("{field} {relation} {constant}"), words(left)));
                cases.push((format!("{constant} {relation} {field}"), words(right)));
            }
        }
    }
    cases
}

fn fields() -> Vec<(String, String)> {
    let pairs =
        [("id", "s"), ("id", "b"), ("f", "s"), ("b", "s"), ("v", "id"), ("v", "s"), ("d", "b")];
    let mut cases = Vec::new();
    for relation in RELATIONS {
        for (a, b) in pairs {
            for (a, b) in [(a, b), (b, a)] {
                let words = format!("comparisons between {}, element_type: None", type_name(a));
                cases.push((format!("{a} {relation} {b}"), words));
            }
        }
        for side in ["id", "f", "s"] {
            let words = "comparisons between JSON, element_type: None".to_owned();
            cases.push((format!("j[\"k\"] {relation} {side}"), words));
            let words = "can not comparisons array fields directly".to_owned();
            cases.push((format!("a {relation} {side}"), words.clone()));
            cases.push((format!("{side} {relation} a"), words));
        }
        let constants = [("1", "jsonField directly"), ("'x'", "jsonField directly")];
        for (constant, words) in constants {
            cases.push((format!("j {relation} {constant}"), words.into()));
            cases.push((format!("a {relation} {constant}"), "array fields directly".into()));
        }
    }
    for relation in ["<", "<=", ">", ">="] {
        cases.push((format!("a {relation} [1]"), "array fields directly".into()));
    }
    cases
}

fn arithmetic() -> Vec<(String, String)> {
    let ops = [
        ("+", "'add' can only"),
        ("-", "'subtract' can only"),
        ("*", "'multiply' can only"),
        ("/", "'divide' can only"),
        ("%", "'modulo' can only"),
        ("**", "'power' can only"),
        ("&", "BitAnd is not supported"),
        ("|", "BitOr is not supported"),
        ("^", "BitXor is not supported"),
        ("<<", "ShiftLeft is not supported"),
        (">>", "ShiftRight is not supported"),
    ];
    let mut cases = Vec::new();
    for (op, words) in ops {
        for operand in ["s", "b", "v", "a", "j", "'x'", "true", "[1]", "(id == 1)"] {
            cases.push((format!("({operand} {op} 1) == 1"), words.into()));
            cases.push((format!("(1 {op} {operand}) == 1"), words.into()));
        }
        if words.contains("not supported") {
            for operand in ["f", "d", "1.5", "fa[0]", "(id ** 2)"] {
                cases.push((format!("({operand} {op} id) == 1"), words.into()));
            }
        }
    }
    for sign in ["-", "+", "~"] {
        for operand in ["s", "b", "v", "a", "j", "'x'", "true", "[1]", "(id == 1)"] {
            cases.push((format!("{sign}{operand} == 1"), format!("unexpected op: {sign}")));
        }
    }
    for (text, words) in [
        ("~f == 1", "unexpected op: ~"),
        ("~1.5 == id", "unexpected op: ~"),
        ("id == 1 / 0", "cannot divide by zero: 1/0"),
        ("id == 1 % 0", "cannot divide by zero: 1%0"),
        ("f == 1.0 / 0.0", "cannot divide by zero: 1.0/0.0"),
        ("id == 1 << -1", "shift by a negative number: 1<<-1"),
        ("id == 1 >> -2", "shift by a negative number: 1>>-2"),
        ("f == 10 ** 400", "value out of range: 10**400"),
        ("f % 2 == 1", "modulo can only apply on integer types"),
        ("i8 & 1 == 1", "BitAnd is not supported: i8&1==1"),
    ] {
        cases.push((text.into(), words.into()));
    }
    cases
}

fn names() -> Vec<(String, String)> {
    let refused = [
        "st_equals",
        "st_touches",
        "st_overlaps",
        "st_crosses",
        "st_contains",
        "st_intersects",
        "st_within",
        "st_dwithin",
        "st_isvalid",
        "ST_WITHIN",
        "element_filter",
        "match_all",
        "match_any",
        "match_least",
        "match_most",
        "match_exact",
        "MATCH_ANY",
        "length",
        "lower",
        "frob",
        "json_contain",
        "array_contain",
        "random",
        "_",
        "to_date",
    ];
    let mut cases = Vec::new();
    for name in refused {
        for arguments in ["", "id", "id, 'POINT (1 2)'", "a, $[x] > 1"] {
            let words = format!("function {name} is not supported in filters");
            cases.push((format!("{name}({arguments})"), words.clone()));
            cases.push((format!("id > 1 and not {name}({arguments})"), words));
        }
    }
    for name in ["foo", "ID", "$meta", "_x", "random_sample", "text_match"] {
        for rest in [" == 1", " in [1]", " is null", " like 'x'", "[\"k\"] == 1"] {
            cases.push((format!("{name}{rest}"), format!("field {name} not exist")));
        }
    }
    for (text, words) in [
        ("id > ISO '2025-01-01'", "time literal ISO"),
        ("id + INTERVAL 'P1D' > iso '2025-01-01'", "time literal INTERVAL"),
        ("$[x] == 1", "struct element access with $"),
        ("$ == 1", "struct element access with $"),
        ("a[x] == 1", "\"x\", and struct field access is not supported"),
        ("j[k] == 1", "json key must be enclosed in double quotes or single quotes: \"k\""),
        ("a['k'] == 1", "can only access array field with integer index"),
        ("a[0][1] == 1", "an element of array field a is not accessed with []"),
        ("a[4294967296] == 1", "index 4294967296 of array field a is out of range"),
        ("j[''] == 1", "invalid identifier: j[\"\"]"),
        ("s['k'] == 1", "VarChar data type not supported accessed with []"),
        ("id[0] == 1", "Int64 data type not supported accessed with []"),
        ("v is null", "IsNull/IsNotNull operations are not supported on vector fields"),
        ("1 is null", "'is null' can only be used on a field, but got: 1"),
        ("(id + 1) is not null", "'is null' can only be used on a field, but got: (id+1)"),
        ("id is 1", "mismatched input '1' expecting NULL"),
        ("id == {x}", "expression template variable name {x} is not found"),
        ("id in {xs}", "expression template variable name {xs} is not found"),
        ("id == {1}", "mismatched input '1' expecting Identifier"),
        ("id == {x", "mismatched input '<EOF>' expecting '}'"),
    ] {
        cases.push((text.into(), words.into()));
    }
    cases
}

fn calls() -> Vec<(String, String)> {
    [calls_of_contains(), calls_of_match(), other_calls()].concat()
}

fn calls_of_contains() -> Vec<(String, String)> {
    let contains = "contains operation are only supported on json or array fields now, got: ";
    let mut cases = Vec::new();
    for name in ["json_contains", "array_contains"] {
        for suffix in ["", "_all", "_any"] {
            let name = format!("{name}{suffix}");
            let list = if suffix.is_empty() { "1" } else { "[1]" };
            for place in ["id", "f", "s", "b", "v", "a[0]", "1", "'x'", "id+1"] {
                cases.push((format!("{name}({place}, {list})"), format!("{contains}{place}")));
            }
            let takes = format!("{name} takes a field and a constant");
            cases.push((format!("{name}(a)"), takes.clone()));
            cases.push((format!("{name}(a, {list}, {list})"), takes));
            cases.push((format!("{name}()"), "mismatched input ')'".into()));
            let wrong = if suffix.is_empty() { "'x'" } else { "[1, 'x']" };
            let words = "between array element type: Int64 and VarChar".to_owned();
            cases.push((format!("{name}(a, {wrong})"), words));
            if !suffix.is_empty() {
                let words = format!("{name} operation element must be an array");
                cases.push((format!("{name}(a, 1)"), words));
            }
        }
    }
    cases
}

fn calls_of_match() -> Vec<(String, String)> {
    let mut cases = Vec::new();
    for (function, words) in [("text_match", "text match"), ("phrase_match", "phrase match")] {
        for place in ["id", "j", "b", "v", "a", "1"] {
            let words = format!("{words} operation on non-string is unsupported: {place}");
            cases.push((format!("{function}({place}, 'x')"), words));
        }
        cases.push((format!("{function}(plain, 'x')"), "\"plain\" does not enable match".into()));
        cases.push((format!("{function}(s)"), format!("{function} takes a field")));
        cases.push((format!("{function}(s, 1)"), format!("{function} takes a string")));
        cases.push((format!("{function}(s, s)"), format!("{function} takes a string")));
        let words = format!("{words} operation on an array element is unsupported: ta[0]");
        cases.push((format!("{function}(ta[0], 'x')"), words));
    }
    for least in ["0", "-1", "1001", "1.5", "'x'", "id"] {
        let text = format!("text_match(s, 'x', minimum_should_match={least})");
        cases.push((text, format!("should be an integer in [1, 1000], but got: {least}")));
    }
    cases.push(("text_match(s, 'x', 2)".into(), "expecting minimum_should_match=".into()));
    for (slop, words) in [
        ("-1", "should not be a negative integer"),
        ("4294967296", "exceeds the range of \"uint32\""),
        ("1.5", "should be a const integer expression"),
        ("id", "should be a const integer expression"),
    ] {
        cases.push((format!("phrase_match(s, 'x', {slop})"), words.into()));
    }
    cases
}

fn other_calls() -> Vec<(String, String)> {
    let mut cases = Vec::new();
    for factor in ["0", "1", "-0.5", "1.5", "0.99999999999", "1e-11"] {
        let words = format!(
            "not too close to 0 or 1(the difference should be larger than 1e-10), \
                             but got {factor}"
        );
        cases.push((format!("id > 1 and random_sample({factor})"), words));
    }
    for (text, words) in [
        ("random_sample('x')", "should be a const float expression"),
        ("random_sample(0.1, 0.2)", "random_sample takes one sample factor"),
        ("random_sample(0.1) and id > 1", "can only be the last expression in the logical and"),
        ("random_sample(0.1) or id > 1", "cannot be used in logical or expression"),
        ("id > 1 or random_sample(0.1)", "cannot be used in logical or expression"),
        ("(id > 1 and random_sample(0.1)) and id < 3", "can only be the last expression"),
        ("not random_sample(0.1)", "cannot be used in unary expression"),
        ("random_sample(0.1) == true", "comparisons between Bool"),
        ("array_length(id) == 1", "only supported on json or array fields now, got: id"),
        ("array_length(a, 1) == 1", "array_length takes one field"),
        ("array_length(a)", "predicate is not a boolean expression"),
        ("array_length(a) == 'x'", "comparisons between Int64"),
        ("exists a", "oerations are only supportted on json field, got:Array"),
        ("exists j", "only supportted on json key"),
    ] {
        cases.push((text.into(), words.into()));
    }
    cases
}

fn lists_and_patterns() -> Vec<(String, String)> {
    let mut cases = Vec::new();
    let wrong = [
        ("id", &["'x'", "1.5", "true", "[1]"][..]),
        ("i8", &["'x'", "1.5", "true", "[1]"]),
        ("f", &["'x'", "true", "[1]"]),
        ("d", &["'x'", "true", "[1]"]),
        ("b", &["'x'", "1", "1.5", "[1]"]),
        ("s", &["1", "1.5", "true", "[1]"]),
    ];
    for (field, items) in wrong {
        for item in items {
            let name = type_name(field);
            let words = format!("value '{item}' in list cannot be casted to {name}");
            cases.push((format!("{field} in [{item}]"), words.clone()));
            cases.push((format!("{field} not in [{item}]"), words));
        }
        for right in ["1", "'x'", "id", "(id)"] {
            let got = format!("the right-hand side of 'in' must be a list, but got: {right}");
            let got = if right == "(id)" { "mismatched input '('".to_owned() } else { got };
            cases.push((format!("{field} in {right}"), got));
        }
        cases.push((format!("{field} in [id]"), "a list takes constants only".into()));
        cases.push((format!("({field}) not == 1"), "invalid expression".into()));
    }
    for field in ["id", "i8", "f", "d", "b", "v", "a", "a[0]"] {
        for word in ["like", "not like", "LIKE"] {
            cases.push((format!("{field} {word} 'x'"), "like operation on non-string".into()));
        }
        for word in ["=~", "!~"] {
            cases.push((format!("{field} {word} 'x'"), "regex operation on ".into()));
        }
    }
    for right in ["s", "1", "true", "[", "('x')", ""] {
        for word in ["like", "not like", "=~", "!~"] {
            cases.push((format!("s {word} {right}"), "expecting StringLiteral".into()));
        }
    }
    for pattern in ["(", "[", "a{2,1}", "(?P<", r"\p{Nope}", "a{2000}{2000}", "*", "(?=x)"] {
        let words = format!("invalid regex pattern '{pattern}'");
        cases.push((format!("s =~ r\"{pattern}\""), words.clone()));
        cases.push((format!("j['k'] !~ r\"{pattern}\""), words));
    }
    cases
}

fn literals() -> Vec<(String, String)> {
    let mut cases = Vec::new();
    for quote in ["'", "\"", "r'", "r\""] {
        for body in ["", "x", "x y", "é", "x and id > 1", "\\\\"] {
            let words = "token recognition error at: '";
            let words = if quote.len() > 1 { "line 1:" } else { words };
            cases.push((format!("plain == {quote}{body}"), words.into()));
        }
    }
    for (escape, words) in [
        ("\\xff", "string literal is not valid UTF-8"),
        ("\\x4", "invalid escape in a string literal"),
        ("\\xzz", "invalid escape in a string literal"),
        ("\\u12", "invalid escape in a string literal"),
        ("\\uzzzz", "invalid escape in a string literal"),
        ("\\U123", "invalid escape in a string literal"),
        ("\\777", "invalid escape \\777"),
        ("\\400", "invalid escape \\400"),
    ] {
        cases.push((format!("s == '{escape}'"), words.into()));
        cases.push((format!("s in ['a', \"b{escape}\"]"), words.into()));
    }
    for number in [
        "9223372036854775808",
        "18446744073709551616",
        "0x10000000000000000",
        "0b11111111111111111111111111111111111111111111111111111111111111111",
        "1e999",
        "1.5e400",
        "07777777777777777777777",
    ] {
        cases.push((format!("id == {number}"), "value out of range".into()));
        cases.push((format!("id in [1, {number}]"), "value out of range".into()));
    }
    for odd in ["@", "#", ";", ":", "?", "`", "é", "\u{0}", "=", "\\", "."] {
        let words = "token recognition error at: '";
        cases.push((format!("id {odd} 1"), words.into()));
        cases.push((format!("id == 1 {odd}"), words.into()));
    }
    for constant in ["1", "1.5", "true", "'x'", "[]", "[1]", "id", "b", "1 + 1", "1 == 1", "id + 1"]
    {
        let words = format!("predicate is not a boolean expression: {constant}");
        cases.push((constant.into(), words));
        let words = "not op can only be applied on boolean expression";
        cases.push((format!("not ({constant})"), words.into()));
        for word in ["and", "or", "&&", "||"] {
            let words = "can only be used between boolean expressions";
            cases.push((format!("id == 1 {word} ({constant})"), words.into()));
            cases.push((format!("({constant}) {word} id == 1"), words.into()));
        }
    }
    cases
}

fn syntax() -> Vec<(String, String)> {
    let mut cases = Vec::new();
    for first in BINARY {
        for second in BINARY {
            let words = format!("mismatched input '{second}'");
            cases.push((format!("id {first} {second} 1"), words));
        }
        cases.push((format!("id {first}"), "mismatched input '<EOF>'".into()));
        cases.push((format!("{first} id"), format!("mismatched input '{first}'")));
        cases.push((format!("(id {first})"), "mismatched input ')'".into()));
    }
    // Every proper prefix of a filter in parentheses lacks at least its end.
    let whole = "( id == 1 and ( i8 in [ 1 , 2 ] or not ( s like 'a%' ) ) && json_contains ( \
                 j [ 'k' ] , [ 1 , 'x' ] ) || exists j [ 'k' ] [ 0 ] and f is not null )";
    let words: Vec<_> = whole.split(' ').filter(|word| !word.is_empty()).collect();
    for count in 1..words.len() {
        let wanted = match words[..count] {
            [.., "json_contains"] => "field json_contains not exist",
            [.., "exists", "j"] => "only supportted on json key",
            [.., "and", "f"] => "'and' can only be used between boolean expressions",
            _ => "'<EOF>'",
        };
        cases.push((words[..count].join(" "), wanted.into()));
    }
    for (open, close) in [("(", "]"), ("[", ")"), ("(", "}")] {
        cases.push((format!("id in {open}1{close}"), "input '".into()));
        let words = if open == "[" { "a list takes constants only" } else { "input '" };
        cases.push((format!("{open}id == 1{close}"), words.into()));
    }
    for extra in [")", "]", "}", "1", "id", "'x'", "true", "[1]", "null", "exists", ","] {
        cases.push((format!("id == 1 {extra}"), "extraneous input '".into()));
    }
    cases
}

#[test]
fn every_bad_filter_is_refused_by_its_own_words() {
    let families = [
        clashes(),
        fields(),
        arithmetic(),
        names(),
        calls(),
        lists_and_patterns(),
        literals(),
        syntax(),
    ];
    let count: usize = families.iter().map(|cases| refused(cases)).sum();
    assert!(count >= 1_500, "{count} cases");
}
