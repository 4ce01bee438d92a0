//! The language: spellings, values, precedence, templates, and the words of refusals.

mod support;

use millstream_catalog::model::{CollectionSchema, DataType, FieldId};
use millstream_expr::{Columns, PkList, Plan, TemplateValue, parse, parse_template};
use support::{matches, measured_rows, measured_schema};

fn ids(text: &str) -> Vec<usize> {
    let plan = parse(text, &measured_schema()).unwrap_or_else(|e| panic!("{e}"));
    matches(&plan, 10, &measured_rows())
}

fn fixed_schema() -> CollectionSchema {
    let mut schema = measured_schema();
    schema.fields.retain(|field| !field.is_dynamic);
    schema.enable_dynamic_field = false;
    schema
}

#[test]
fn literals_are_read_in_every_spelling() {
    for (text, want) in [
        ("id == 0x5", 5),
        ("id == 0X05", 5),
        ("id == 0b101", 5),
        ("id == 007", 7),
        ("id == 0", 0),
        ("f == 1.5", 3),
        ("f == 15e-1", 3),
        ("f == .5", 1),
        ("f == 1.", 2),
        ("f == 0x1.8p0", 3),
        ("f == 0x3P-1", 3),
        ("s == 's1_x%y'", 1),
        (r#"s == "\x731_x%y""#, 1),
        (r#"s == "\1631_x%y""#, 1),
        (r#"s == "\u00731_x%y""#, 1),
        (r#"s == "\U000000731_x%y""#, 1),
        (r#"s like "s1\_x\%y""#, 1),
        (r#"s like "s1\\_x\\%y""#, 1),
        (r#"$meta["my key"] == 4"#, 4),
        ("id == 1or id == 1", 1),
        ("id in [1 + 1]", 2),
        ("id in [-1, - 1, +3]", 3),
        ("id == 7 - 2 * 2", 3),
        ("id == 9 - 3 - 2", 4),
        ("id == 8 / 2 / 2", 2),
        ("id == 9 % 5", 4),
        ("f == 2 ** -1", 1),
    ] {
        assert_eq!(ids(text), [want], "{text}");
    }
    for truth in ["true", "True", "TRUE"] {
        assert_eq!(ids(&format!("b == {truth}")), [0, 2, 4, 6, 8]);
    }
    assert_eq!(ids("id >= -9223372036854775808").len(), 10);
    assert_eq!(ids("id == -9223372036854775808").len(), 0);
    assert_eq!(ids("id < -9223372036854775808").len(), 0);
    assert_eq!(ids("id != 9223372036854775807").len(), 10);
}

#[test]
fn keywords_and_functions_are_read_in_both_cases() {
    assert_eq!(ids("id IN [1,2] AND NOT (id == 1)"), [2]);
    assert_eq!(ids("id NOT IN [1,2] && id < 4 || id == 9"), [0, 3, 9]);
    assert_eq!(ids("EXISTS dyn and exists j[\"a\"]").len(), 10);
    assert_eq!(ids(r#"JSON_CONTAINS_ANY(j["l"], [0, 9])"#), [0, 8, 9]);
    assert_eq!(ids(r#"JSON_CONTAINS_ALL(j["l"], [])"#).len(), 10);
    assert_eq!(ids(r#"array_contains(j["l"], 1)"#), [0, 1]);
    assert_eq!(ids(r#"j["a"] IS NOT NULL and j["zz"] is null"#).len(), 10);
}

#[test]
fn operators_bind_as_in_milvus() {
    assert_eq!(ids("id == 1 or id == 2 and id == 3"), [1]);
    assert_eq!(ids("(id == 1 or id == 2) and id == 2"), [2]);
    assert_eq!(ids("id + 1 * 2 == 3"), [1]);
    assert_eq!(ids("(id + 1) * 2 == 4"), [1]);
    assert_eq!(ids("id - 1 - 1 == 1"), [3]);
}

#[test]
fn a_comparison_has_ranges_in_both_directions_and_only_of_one() {
    assert_eq!(ids("1 <= f < 2"), [2, 3]);
    assert_eq!(ids("'s1' < s < 's3'"), [1, 2]);
    assert_eq!(ids("6 > dyn >= 2"), [1, 2]);
    assert_eq!(ids("4 < id < 4").len(), 0);
    assert_eq!(ids("not (1 < dyn < 6)"), [0, 3, 4, 5, 6, 7, 8, 9]);
    for text in ["1 < id > 3", "(1 < id) < 3", "1 < id < 3 < 4", "1 < id == 3"] {
        assert!(parse(text, &measured_schema()).is_err(), "{text}");
    }
}

#[test]
fn arithmetic_truncates_wraps_and_has_no_value_by_zero() {
    assert_eq!(ids("id / 4 == 1"), [4, 5, 6, 7]);
    assert_eq!(ids("10 / id == 5"), [2]);
    assert_eq!(ids("10 % id == 0 or not (10 % id == 0)").len(), 9);
    assert_eq!(ids("id % 0 == 0").len(), 0);
    assert_eq!(ids("id % 0 != 0").len(), 0);
    assert_eq!(ids("(0 - id) / 2 == -1"), [2, 3]);
    assert_eq!(ids("id * 9223372036854775807 > 0"), [1, 3, 5, 7, 9]);
    assert_eq!(ids("f * 2 + id == 4"), [2]);
    assert_eq!(ids("i8 + i2 == 10").len(), 10);
    assert_eq!(ids(r#"j["a"] / 2 == 1 and j["a"] * 1.5 > 3"#), [3]);
    assert_eq!(ids(r#"j["zz"] + 1 == 1"#).len(), 0);
    assert_eq!(ids(r#"j["zz"] + 1 != 1"#).len(), 10);
    assert_eq!(ids("dyn + id > 20"), [7, 8, 9]);
}

#[test]
fn a_blank_text_keeps_every_row() {
    for text in ["", " \n\t "] {
        let plan = parse(text, &measured_schema()).expect("blank");
        assert!(plan.is_always_true() && plan.fields().is_empty() && plan.pk_list().is_none());
        let copy = Plan::decode(&plan.encode()).expect("a plan");
        assert!(copy.is_always_true());
    }
    assert!(!parse("id > 0", &measured_schema()).expect("fine").is_always_true());
}

#[test]
fn key_lists_are_recognised_only_when_they_are_the_whole_filter() {
    let list = |text: &str| {
        let plan = parse(text, &measured_schema()).expect(text);
        let copy = Plan::decode(&plan.encode()).expect("a plan");
        assert_eq!(copy.pk_list(), plan.pk_list());
        plan.pk_list()
    };
    let ints = |keys: &[i64]| Some(PkList::Int(keys.to_vec()));
    assert_eq!(list("id in [3, 1, 1]"), ints(&[3, 1, 1]));
    assert_eq!(list("(id == 4)"), ints(&[4]));
    assert_eq!(list("4 == id"), ints(&[4]));
    assert_eq!(list("id in []"), ints(&[]));
    for text in [
        "id not in [1]",
        "id != 1",
        "i8 in [1]",
        "id in [1] and b == true",
        "dyn == 1",
        "id == 1 or id == 2",
        "not (id in [1])",
    ] {
        assert_eq!(list(text), None, "{text}");
    }
    let schema = support::schema(&[("k", DataType::VarChar), ("t", DataType::VarChar)]);
    let texts = |text: &str| parse(text, &schema).expect(text).pk_list();
    let keys = PkList::Text(vec!["a".into(), "b".into()]);
    assert_eq!(texts("k in ['a', \"b\"]"), Some(keys));
    assert_eq!(texts("k == 'a'"), Some(PkList::Text(vec!["a".into()])));
    assert_eq!(texts("t == 'a'"), None);
    assert_eq!(texts("k > 'a'"), None);
}

#[test]
fn a_plan_names_the_fields_that_it_reads_once() {
    let plan = parse("i8 < 3 and (dyn == 1 or i8 + f > 2) and x == 1", &measured_schema());
    let fields = plan.expect("fine").fields();
    assert_eq!(fields, [102, 109, 103].map(FieldId));
}

#[test]
fn templates_stand_for_constants() {
    let values = [
        ("n".into(), TemplateValue::Int(3)),
        ("ids".into(), TemplateValue::List((1..4).map(TemplateValue::Int).collect())),
        ("p".into(), TemplateValue::Text("s2%".into())),
        ("t".into(), TemplateValue::Bool(true)),
        ("x".into(), TemplateValue::Float(0.5)),
    ];
    let got = |text: &str| {
        parse_template(text, &measured_schema(), &values)
            .map(|plan| matches(&plan, 10, &measured_rows()))
            .map_err(|fault| fault.message)
    };
    assert_eq!(got("id == {n}"), Ok(vec![3]));
    assert_eq!(got("id in {ids} and b == {t}"), Ok(vec![2]));
    assert_eq!(got("s like {p} or f == { x }"), Ok(vec![1, 2]));
    assert_eq!(got(r#"json_contains_all(j["l"], {ids})"#), Ok(vec![]));
    let missing = got("id == {nope}").expect_err("no value");
    assert!(missing.contains("template variable name {nope} is not found"), "{missing}");
    let wrong = got("s in {ids}").expect_err("wrong type");
    assert!(wrong.contains("value '1' in list cannot be casted to VarChar"), "{wrong}");
}

#[test]
fn refusals_use_the_words_that_clients_know() {
    let schema = measured_schema();
    for (text, words) in [
        ("id <", "cannot parse expression: id <, error: line 1:4 mismatched input '<EOF>'"),
        ("id < 3)", "line 1:6 extraneous input ')' expecting <EOF>"),
        ("(id < 3", "line 1:7 missing ')' at '<EOF>'"),
        ("id @ 3", "line 1:3 token recognition error at: '@ '"),
        ("s == 'abc", "line 1:5 token recognition error at: ''abc'"),
        ("id\n== é", "line 2:3 token recognition error at: 'é'"),
        ("id in 1", "the right-hand side of 'in' must be a list, but got: 1"),
        ("id in [i8]", "a list takes constants only, but got: i8"),
        ("id not like 's'", "like operation on non-string or no-json field is unsupported"),
        ("id == 18446744073709551616", "value out of range"),
        ("id == 9223372036854775808", "value out of range"),
        ("f == 1e999", "value out of range"),
        ("id == 1 / 0", "cannot divide by zero: 1/0"),
        ("f % 2 == 1", "modulo can only apply on integer types"),
        ("f == 1.5 % 2", "modulo can only apply on integer types"),
        ("i8 < 1.5", "cannot cast value to Int8, value: float_val:1.5"),
        ("1.5 > id", "cannot cast value to Int64, value: float_val:1.5"),
        ("1 == s", "comparisons between Int64, element_type: None and VarChar elementType: None"),
        ("s < i8", "comparisons between VarChar, element_type: None and Int8 elementType: None"),
        ("b in [1]", "value '1' in list cannot be casted to Bool"),
        ("s in ['a', \"b\", -3 ]", "value '-3' in list cannot be casted to VarChar"),
        ("id in [1, [2, 3], 4]", "value '[2, 3]' in list cannot be casted to Int64"),
        ("id + 1 in [2]", "'term' can only be used on single field, but got: id+1"),
        ("s[\"a\"] == 1", "VarChar data type not supported accessed with []"),
        ("j == 1", "can not comparisons jsonField directly"),
        ("j in [1]", "can not comparisons jsonField directly"),
        ("id like '1%'", "like operation on non-string or no-json field is unsupported"),
        ("not id == 1", "not op can only be applied on boolean expression"),
        ("id and b == true", "'and' can only be used between boolean expressions"),
        ("id == 1 or true", "'or' can only be used between boolean expressions"),
        ("exists s", "exists oerations are only supportted on json field, got:VarChar"),
        ("json_contains(j[\"l\"])", "json_contains takes a field and a constant"),
        ("json_contains_all(j[\"l\"], 1)", "json_contains_all operation element must be an array"),
        ("frob(id)", "function frob is not supported in filters"),
        ("st_within(id, 'POINT')", "function st_within is not supported in filters"),
        ("s =~ '('", "invalid regex pattern '(': unclosed group"),
        ("id > ISO '2025-01-01'", "time literal ISO is not supported in filters"),
        ("f << 2 == 4", "ShiftLeft is not supported: f<<2; both sides must be integers"),
        ("s == '\\xff'", "string literal is not valid UTF-8"),
        ("s == '\\u12'", "invalid escape"),
        ("json_contains(j[\"l\"], id)", "json_contains takes a constant"),
    ] {
        let fault = parse(text, &schema).expect_err(text);
        assert_eq!(fault.code as i32, 1100);
        assert!(fault.message.contains(words), "{text}\n  {}", fault.message);
        assert!(fault.message.ends_with(": invalid parameter"), "{}", fault.message);
    }
}

#[test]
fn an_unknown_name_is_a_key_only_with_a_dynamic_field() {
    let fault = parse("foo == 1", &fixed_schema()).expect_err("no such field");
    assert_eq!(
        fault.message,
        "cannot parse expression: foo == 1, error: field foo not exist: invalid parameter"
    );
    let fault = parse("$meta[\"k\"] == 1", &fixed_schema()).expect_err("no such field");
    assert!(fault.message.contains("field $meta not exist"));
    assert_eq!(ids("foo == 1").len(), 0);
}

#[test]
fn json_numbers_compare_by_value_and_keys_by_text() {
    let mut rows = measured_rows();
    let documents = [
        r#"{"n":1,"a\"b":1}"#,
        r#"{"n":1.0,"\u0061b":1}"#,
        r#"{"n":1e0}"#,
        r#"{"n":10000000000000000000}"#,
        r#"{"n":9007199254740993}"#,
        r#"{"n":"1"}"#,
        r#"{"n":null}"#,
        r#"{"n":[1]}"#,
        r#"{"n":-0.0}"#,
        r#"{}"#,
    ];
    rows.0.insert(106, support::json(&documents));
    let got = |text: &str| matches(&parse(text, &measured_schema()).expect(text), 10, &rows);
    assert_eq!(got(r#"j["n"] == 1"#), [0, 1, 2]);
    assert_eq!(got(r#"j["n"] == 1.0"#), [0, 1, 2]);
    assert_eq!(got(r#"j["n"] in [1.0, "1", [1.0]]"#), [0, 1, 2, 5, 7]);
    assert_eq!(got(r#"j["n"] == 9007199254740992"#).len(), 0);
    assert_eq!(got(r#"j["n"] > 9007199254740992"#), [3, 4]);
    assert_eq!(got(r#"j["n"] == 0"#), [8]);
    assert_eq!(got(r#"j["n"] == [1]"#), [7]);
    assert_eq!(got(r#"j["n"] != [1]"#), [0, 1, 2, 3, 4, 5, 6, 8, 9]);
    assert_eq!(got(r#"exists j["n"]"#), [0, 1, 2, 3, 4, 5, 7, 8]);
    assert_eq!(got(r#"j["n"] is null"#), [6, 9]);
    assert_eq!(got(r#"j["a\"b"] == 1"#), [0]);
    assert_eq!(got(r#"j["ab"] == 1"#), [1]);
    assert_eq!(got(r#"json_contains(j["n"], 1.0)"#), [7]);
    assert_eq!(got(r#"j["n"] like "_""#), [5]);
}

#[test]
fn not_a_number_equals_nothing() {
    let mut rows = measured_rows();
    rows.0.insert(103, support::Owned::Float([f32::NAN, f32::INFINITY, -0.0, 1.0].repeat(3)));
    let got = |text: &str| matches(&parse(text, &measured_schema()).expect(text), 4, &rows);
    assert_eq!(got("f == 0"), [2]);
    assert_eq!(got("f in [0, 5]"), [2]);
    assert_eq!(got("f != 0"), [0, 1, 3]);
    assert_eq!(got("f > 1"), [1]);
    assert_eq!(got("f <= 1"), [2, 3]);
    assert_eq!(got("not (f <= 1)"), [0, 1]);
    assert_eq!(got("f + 1 > 1"), [1, 3]);
}

#[test]
fn columns_of_another_type_or_length_have_no_values() {
    let mut rows = measured_rows();
    rows.0.insert(100, support::Owned::Bool(vec![1; 10]));
    rows.0.insert(102, support::Owned::Int8(vec![1; 4]));
    rows.0.insert(105, support::text(&["a", "b"]));
    rows.0.remove(&106);
    let got = |text: &str| matches(&parse(text, &measured_schema()).expect(text), 10, &rows);
    assert_eq!(got("id < 3 or not (id < 3)").len(), 0);
    assert_eq!(got("i8 != 7"), [0, 1, 2, 3]);
    assert_eq!(got("i8 + 1 > 0"), [0, 1, 2, 3]);
    assert_eq!(got("s != 'a'"), [1]);
    assert_eq!(got("not (s like 'a')"), [1]);
    assert_eq!(got(r#"j["a"] == 1"#).len(), 0);
    assert_eq!(got(r#"j["a"] != 1"#).len(), 10);
}

#[test]
fn a_null_is_unknown_under_every_connective() {
    let mut rows = measured_rows();
    let odd = |from: usize| (0..10).map(|row| u8::from(row % 2 == 1 || row < from)).collect();
    rows.1.extend([(102, odd(0)), (105, odd(4)), (106, odd(0)), (107, odd(0))]);
    let got = |text: &str| matches(&parse(text, &measured_schema()).expect(text), 10, &rows);
    assert_eq!(got("i8 is null"), [0, 2, 4, 6, 8]);
    assert_eq!(got("i8 IS NOT NULL and s is null").len(), 0);
    assert_eq!(got("i8 > 3"), [5, 7, 9]);
    assert_eq!(got("not (i8 > 3)"), [1, 3]);
    assert_eq!(got("i8 > 3 or id < 3"), [0, 1, 2, 5, 7, 9]);
    assert_eq!(got("not (i8 > 3 and id > 4)"), [0, 1, 2, 3, 4]);
    assert_eq!(got("i8 in [1, 2]"), [1]);
    assert_eq!(got("i8 not in [1, 2]"), [3, 5, 7, 9]);
    assert_eq!(got("i8 + id != 2"), [3, 5, 7, 9]);
    assert_eq!(got("i8 == i8"), [1, 3, 5, 7, 9]);
    assert_eq!(got("s not like 's1%'"), [0, 2, 3, 5, 7, 9]);
    assert_eq!(got("s !~ 'x' or s =~ 'x'"), [0, 1, 2, 3, 5, 7, 9]);
    assert_eq!(got(r#"j["a"] != 1"#), [3, 5, 7, 9]);
    assert_eq!(got(r#"exists j["a"]"#), [1, 3, 5, 7, 9]);
    assert_eq!(got(r#"j["a"] is null"#), [0, 2, 4, 6, 8]);
    assert_eq!(got(r#"j["zz"] is not null or j is null"#), [0, 2, 4, 6, 8]);
    assert_eq!(got("array_length(a) < 9"), [1, 3, 5, 7, 9]);
    assert_eq!(got("not array_contains(a, 0)").len(), 0);
    assert_eq!(got("a != [0]"), [3, 7]);
    assert_eq!(got("a[1] is null"), [0, 1, 2, 4, 5, 6, 8, 9]);
    assert_eq!(got("a[1] != 7"), [3, 7]);
}

#[test]
fn words_are_asked_of_the_index_of_the_field() {
    let mut rows = measured_rows();
    let texts: Vec<_> = (0..10).map(|i| format!("a{i} b{} c", i % 2)).collect();
    rows.0.insert(105, support::text(&texts));
    let got = |text: &str| matches(&parse(text, &measured_schema()).expect(text), 10, &rows);
    assert_eq!(got("text_match(s, 'a1 a2')"), [1, 2]);
    assert_eq!(got("TEXT_MATCH(s, 'a1 b1', minimum_should_match=2) or id == 4"), [1, 4]);
    assert_eq!(got("not text_match(s, 'b0')"), [1, 3, 5, 7, 9]);
    assert_eq!(got("phrase_match(s, 'b1 c') and id > 3"), [5, 7, 9]);
    assert_eq!(got("phrase_match(s, 'c b1', 1)").len(), 0);
    rows.1.insert(105, vec![0, 1, 1, 1, 1, 1, 1, 1, 1, 0]);
    let got = |text: &str| matches(&parse(text, &measured_schema()).expect(text), 10, &rows);
    assert_eq!(got("not text_match(s, 'b0')"), [1, 3, 5, 7]);
    struct NoIndex(support::Table);
    impl Columns for NoIndex {
        fn column(&self, field: FieldId) -> Option<millstream_expr::ColumnView<'_>> {
            self.0.column(field)
        }
    }
    let plan = parse("text_match(s, 'c')", &measured_schema()).expect("fine");
    assert!(plan.has_text_match());
    assert_eq!(matches(&plan, 10, &NoIndex(rows)).len(), 0);
}

#[test]
fn a_sample_is_random_between_seeds_and_equal_within_one() {
    let schema = measured_schema();
    let count = 20_000;
    let ids = support::Owned::Int64((0..count as i64).collect());
    let rows = support::Table([(100, ids)].into(), [].into());
    let kept = |text: &str, seed: u64| {
        let plan = millstream_expr::parse_seeded(text, &schema, &[], seed).expect(text);
        assert!(plan.is_random() && !plan.is_always_true() && plan.pk_list().is_none());
        let copy = Plan::decode(&plan.encode()).expect("a plan");
        matches(&copy, count, &rows)
    };
    let (one, two) = (kept("random_sample(0.25)", 1), kept("random_sample(0.25)", 2));
    assert!((4_700..5_300).contains(&one.len()), "{}", one.len());
    assert_eq!(one, kept("RANDOM_SAMPLE(0.25)", 1));
    let both = one.iter().filter(|row| two.contains(row)).count();
    assert!((1_100..1_400).contains(&both), "{both} rows in both samples");
    let few = kept("id < 1000 and id > 10 and random_sample(0.5)", 3);
    assert!((400..600).contains(&few.len()) && few.iter().all(|&row| row < 1000));
    assert!(!parse("id > 1", &schema).expect("fine").is_random());
}

#[test]
fn arrays_of_every_element_type_are_looked_into() {
    let schema = support::schema(&[
        ("id", DataType::Int64),
        ("fa", DataType::Array),
        ("ta", DataType::Array),
        ("ba", DataType::Array),
        ("a8", DataType::Array),
    ]);
    let rows = support::Table(
        [
            (101, support::floats(&[vec![0.1, -0.0], vec![], vec![2.5]])),
            (102, support::text_lists(&[vec!["ab", ""], vec!["b"], vec![]])),
            (103, support::ints(DataType::Bool, &[vec![1, 0], vec![1], vec![]])),
            (104, support::ints(DataType::Int8, &[vec![-1], vec![127, 5], vec![5]])),
        ]
        .into(),
        [].into(),
    );
    let got = |text: &str| matches(&parse(text, &schema).expect(text), 3, &rows);
    assert_eq!(got("array_contains(fa, 0.1) and fa[1] == 0 and fa == [0.1, 0]"), [0]);
    assert_eq!(got("fa[0] * 2 == 5 or fa[0] in [0.1]"), [0, 2]);
    assert_eq!(got("ta[0] like '%b' and ta[0] =~ '^a'"), [0]);
    assert_eq!(got("ta[0] > 'ab' or ta == []"), [1, 2]);
    assert_eq!(got("array_contains_any(ta, ['', 'b']) and ta[0] == ta[0]"), [0, 1]);
    assert_eq!(got("ba[0] == true and ba != [true]"), [0]);
    assert_eq!(got("array_contains_all(ba, [true, false])"), [0]);
    assert_eq!(got("a8[0] < 0 or a8[1] + a8[0] == 132"), [0, 1]);
    assert_eq!(got("array_contains(a8, 300) or a8 == [300]").len(), 0);
    assert_eq!(got("not (a8[1] == 5)").len(), 0);
    assert_eq!(got("array_length(a8) == array_length(ba)"), Vec::<usize>::new());
    assert_eq!(got("array_length(a8) + 1 == array_length(ba)"), [0]);
}

#[test]
fn documents_that_are_no_json_make_no_cell() {
    for text in ["", "{", "{\"a\":}", "[1,]", "nul", "1 2", "{'a':1}", "\"\\ud800\"", "1e999"] {
        let mut cell = vec![7];
        let refused = millstream_expr::json_cell(text.as_bytes(), &mut cell);
        assert!(refused.is_err_and(|reason| !reason.is_empty()), "{text}");
        assert_eq!(cell, [7]);
    }
    assert!(millstream_expr::json_cell(b"\"\xff\"", &mut Vec::new()).is_err());
    let mut cell = Vec::new();
    millstream_expr::json_cell(b" {\"a\" : 1} ", &mut cell).expect("JSON");
    assert_eq!(millstream_catalog::model::cell::json_text(&cell), b" {\"a\" : 1} ");
}
