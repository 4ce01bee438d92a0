//! Random expressions and rows, and how expressions are written.

use std::collections::HashMap;

use millstream_catalog::model::{CollectionSchema, DataType};
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{self, Owned, Table};

/// Fields by position; their ids count from 100.
pub(crate) const FIELDS: [(&str, DataType); 13] = [
    ("id", DataType::Int64),
    ("i8", DataType::Int8),
    ("i16", DataType::Int16),
    ("i32", DataType::Int32),
    ("f", DataType::Float),
    ("d", DataType::Double),
    ("b", DataType::Bool),
    ("s", DataType::VarChar),
    ("j", DataType::Json),
    ("$meta", DataType::Json),
    ("a", DataType::Array),
    ("ta", DataType::Array),
    ("fa", DataType::Array),
];
pub(crate) const NUMBERS: [usize; 6] = [0, 1, 2, 3, 4, 5];
pub(crate) const TEXTS: [&str; 9] = ["", "a", "b", "ab", "abc", "aab%", "ä_b", "ba", "abcabcabc"];
pub(crate) const PATTERNS: [&str; 13] =
    ["%", "a%", "%b", "%b%", "a_", "_", "%_b%", "a%b%c", "ab", "", r"%\\%", "%a_c%", "__%"];
pub(crate) const PLACES: [&str; 8] = [
    r#"j["a"]"#,
    r#"j["n"]["m"]"#,
    r#"j["l"]"#,
    r#"j["l"][1]"#,
    r#"j["0"]"#,
    "dyn",
    "nosuch",
    r#"$meta["my key"]"#,
];
pub(crate) const DOCUMENTS: [&str; 10] = [
    "{}",
    "",
    r#"{"a":1,"l":[1,2,3],"n":{"m":"a"},"0":true}"#,
    r#"{ "x\"}" : [ "]" , {"a":9} ] , "a" : 1.0 , "n" : { "m" : null } }"#,
    r#"{"a":"ab","l":["a","b",[1,2]],"dyn":2,"my key":-3.5}"#,
    r#"{"a":-7,"l":[],"n":{},"dyn":"2","my key":"b"}"#,
    r#"{"a":9007199254740993,"l":[true,false,1.5],"0":"\u0061b"}"#,
    r#"{"\u0061":2,"l":{"1":1},"dyn":null}"#,
    r#"{"a":[1,2],"l":[2,2],"dyn":[3],"my key":{"k":1}}"#,
    r#"{"a":true,"n":[{"m":1}],"l":1}"#,
];
pub(crate) const INT_LISTS: [&[i64]; 6] = [&[], &[1], &[0, 2], &[2, 2, 5], &[-3, 1, 2, 4], &[7]];
pub(crate) const TEXT_LISTS: [&[&str]; 5] =
    [&[], &["a"], &["ab", ""], &["b", "a", "abc"], &["ä_b"]];
pub(crate) const FLOAT_LISTS: [&[f32]; 4] = [&[], &[0.5, 1.0], &[-0.0], &[1.5, 0.1, 2.0]];
pub(crate) const REGEXES: [&str; 5] = ["a", "^a", "b$", "^a.*c$", "[äb]"];
pub(crate) const RELATIONS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];

#[derive(Clone, Debug)]
pub(crate) enum Lit {
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(&'static str),
}

impl Lit {
    pub(crate) fn spell(&self) -> String {
        match self {
            Lit::Int(v) => v.to_string(),
            Lit::Float(v) => format!("{v:?}"),
            Lit::Bool(v) => v.to_string(),
            Lit::Text(v) => format!("'{v}'"),
        }
    }

    pub(crate) fn value(&self) -> Value {
        match self {
            Lit::Int(v) => (*v).into(),
            Lit::Float(v) => (*v).into(),
            Lit::Bool(v) => (*v).into(),
            Lit::Text(v) => (*v).into(),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Expr {
    Field(usize, usize, Lit),
    Range(usize, i64, i64),
    In(usize, bool, Vec<Lit>),
    Like(usize, &'static str),
    Pair(usize, usize, usize),
    /// A chain `field op term op term`, compared with a number.
    Sum(usize, Vec<(char, Term)>, usize, Lit),
    Place(usize, usize, Lit),
    PlaceIn(usize, bool, Vec<Lit>),
    PlaceLike(usize, &'static str),
    Exists(usize),
    Contains(usize, usize, Vec<Lit>),
    Null(usize, bool),
    PlaceNull(usize, bool),
    ElementNull(u32, bool),
    Regex(usize, bool, &'static str),
    PlaceRegex(usize, &'static str),
    /// An element of an Array field, compared.
    Element(usize, u32, usize, Lit),
    ElementIn(usize, u32, bool, Vec<Lit>),
    Length(usize, usize, i64),
    Arrays(usize, bool, Vec<Lit>),
    ArrayContains(usize, usize, Vec<Lit>),
    /// `(field op term) op term .. rel value` over integers only, with signs in front.
    Bits(usize, Vec<(usize, Term)>, usize, i64, Option<char>),
    /// `$meta["my key"]` and a field of integers.
    Mixed(usize, usize, i64),
    Not(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
}

#[derive(Clone, Debug)]
pub(crate) enum Term {
    Field(usize),
    Int(i64),
}

pub(crate) const BITS: [&str; 6] = ["&", "|", "^", "<<", ">>", "+"];
pub(crate) const CONTAINS: [&str; 3] = ["json_contains", "JSON_CONTAINS_ALL", "json_contains_any"];

fn list(items: &[Lit]) -> String {
    items.iter().map(Lit::spell).collect::<Vec<_>>().join(", ")
}

fn not(not: bool) -> &'static str {
    if not { "not in" } else { "in" }
}

pub(crate) fn spell(expr: &Expr) -> String {
    let name = |field: &usize| FIELDS[*field].0;
    let joined = |items: &[Expr], word: &str| {
        let items: Vec<_> = items.iter().map(spell).collect();
        format!("({})", items.join(word))
    };
    match expr {
        Expr::Place(..)
        | Expr::PlaceIn(..)
        | Expr::PlaceLike(..)
        | Expr::PlaceNull(..)
        | Expr::PlaceRegex(..)
        | Expr::Exists(_)
        | Expr::Contains(..)
        | Expr::Mixed(..) => spell_json(expr),
        Expr::Field(f, r, v) => format!("{} {} {}", name(f), RELATIONS[*r], v.spell()),
        Expr::Range(f, lo, hi) => format!("{lo} <= {} < {hi}", name(f)),
        Expr::In(f, n, items) => {
            format!("{} {} [{},]", name(f), not(*n), list(items)).replace("[,]", "[]")
        }
        Expr::Like(f, pattern) => format!("{} like \"{pattern}\"", name(f)),
        Expr::Pair(a, r, b) => format!("{} {} {}", name(a), RELATIONS[*r], name(b)),
        Expr::Sum(f, terms, r, v) => {
            let left = terms.iter().fold(name(f).to_owned(), |left, (op, term)| match term {
                Term::Field(f) => format!("({left} {op} {})", name(f)),
                Term::Int(v) => format!("({left} {op} {v})"),
            });
            format!("{left} {} {}", RELATIONS[*r], v.spell())
        }
        Expr::Null(f, not) => format!("{} is {}null", name(f), if *not { "not " } else { "" }),
        Expr::ElementNull(i, not) => {
            format!("a[{i}] is {}null", if *not { "not " } else { "" })
        }
        Expr::Regex(f, not, pattern) => {
            format!("{} {} '{pattern}'", name(f), if *not { "!~" } else { "=~" })
        }
        Expr::Element(f, i, r, v) => {
            format!("{}[{i}] {} {}", name(f), RELATIONS[*r], v.spell())
        }
        Expr::ElementIn(f, i, n, items) => {
            format!("{}[{i}] {} [{}]", name(f), not(*n), list(items))
        }
        Expr::Length(f, r, v) => format!("{v} {} array_length({})", RELATIONS[*r], name(f)),
        Expr::Arrays(f, not, items) => {
            format!("{} {} [{}]", name(f), if *not { "!=" } else { "==" }, list(items))
        }
        Expr::ArrayContains(0, f, items) => {
            let zero = || literal_zero(*f).spell();
            format!("array_contains({}, {})", name(f), items.first().map_or_else(zero, Lit::spell))
        }
        Expr::ArrayContains(k, f, items) => {
            let word = if *k == 1 { "array_contains_all" } else { "ARRAY_CONTAINS_ANY" };
            format!("{word}({}, [{}])", name(f), list(items))
        }
        Expr::Bits(f, terms, r, v, sign) => {
            let first = sign.map_or(name(f).to_owned(), |sign| format!("({sign}{})", name(f)));
            let left = terms.iter().fold(first, |left, (op, term)| match term {
                Term::Field(f) => format!("({left} {} {})", BITS[*op], name(f)),
                Term::Int(v) => format!("({left} {} {v})", BITS[*op]),
            });
            format!("{left} {} {v}", RELATIONS[*r])
        }
        Expr::Not(inner) => format!("not ({})", spell(inner)),
        Expr::And(items) => joined(items, " and "),
        Expr::Or(items) => joined(items, " || "),
    }
}

/// [`spell`] for what looks into JSON.
fn spell_json(expr: &Expr) -> String {
    match expr {
        Expr::Place(p, r, v) => format!("{} {} {}", v.spell(), RELATIONS[*r], PLACES[*p]),
        Expr::PlaceIn(p, n, items) => format!("{} {} [{}]", PLACES[*p], not(*n), list(items)),
        Expr::PlaceLike(p, pattern) => format!("{} like \"{pattern}\"", PLACES[*p]),
        Expr::Exists(p) => format!("exists {}", PLACES[*p]),
        Expr::Contains(0, p, items) => {
            let first = items.first().map_or("0".into(), Lit::spell);
            format!("{}({}, {first})", CONTAINS[0], PLACES[*p])
        }
        Expr::Contains(k, p, items) => {
            format!("{}({}, [{}])", CONTAINS[*k], PLACES[*p], list(items))
        }
        Expr::PlaceNull(p, not) => {
            format!("{} IS {}NULL", PLACES[*p], if *not { "NOT " } else { "" })
        }
        Expr::PlaceRegex(p, pattern) => format!("{} =~ r\"{pattern}\"", PLACES[*p]),
        Expr::Mixed(f, r, v) => {
            format!("j[\"a\"] + {} {} {v}", FIELDS[*f].0, RELATIONS[*r])
        }
        other => spell(other),
    }
}

/// The constant that stands for an empty list of them.
pub(crate) fn literal_zero(field: usize) -> Lit {
    match field {
        11 => Lit::Text("a"),
        12 => Lit::Float(0.0),
        _ => Lit::Int(0),
    }
}

pub(crate) fn int() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => -4i64..8,
        1 => prop::sample::select(vec![-129, -128, 127, 128, 32_767, 40_000, 1 << 31]),
        1 => prop::sample::select(vec![i64::MIN, i64::MAX, (1 << 53) + 1]),
    ]
}

pub(crate) fn float_value() -> impl Strategy<Value = f64> {
    prop::sample::select(vec![-2.5, -1.0, -0.0, 0.0, 0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 1e30])
}

pub(crate) fn literal(field: usize) -> BoxedStrategy<Lit> {
    match FIELDS[field].1 {
        DataType::Float | DataType::Double => {
            prop_oneof![float_value().prop_map(Lit::Float), (-3i64..5).prop_map(Lit::Int)].boxed()
        }
        DataType::Bool => any::<bool>().prop_map(Lit::Bool).boxed(),
        DataType::VarChar => prop::sample::select(TEXTS.to_vec()).prop_map(Lit::Text).boxed(),
        DataType::Array if field == 10 => int().prop_map(Lit::Int).boxed(),
        DataType::Array if field == 11 => {
            prop::sample::select(TEXTS.to_vec()).prop_map(Lit::Text).boxed()
        }
        DataType::Array => float_value().prop_map(Lit::Float).boxed(),
        DataType::Json => prop_oneof![
            int().prop_map(Lit::Int),
            float_value().prop_map(Lit::Float),
            any::<bool>().prop_map(Lit::Bool),
            prop::sample::select(TEXTS.to_vec()).prop_map(Lit::Text),
        ]
        .boxed(),
        _ => int().prop_map(Lit::Int).boxed(),
    }
}

pub(crate) fn literals(field: usize) -> impl Strategy<Value = Vec<Lit>> {
    prop_oneof![
        4 => prop::collection::vec(literal(field), 0..5),
        1 => prop::collection::vec(literal(field), 9..40),
    ]
}

pub(crate) fn sums() -> impl Strategy<Value = Expr> {
    let number = || prop::sample::select(NUMBERS.to_vec());
    let term = prop_oneof![number().prop_map(Term::Field), int().prop_map(Term::Int)];
    let op = prop::sample::select(vec!['+', '-', '*', '/', '%']);
    (number(), prop::collection::vec((op, term), 1..4), 0..6usize, int()).prop_map(
        |(field, mut terms, relation, value)| {
            let whole = |f: usize| FIELDS[f].1.is_integer();
            let fields = terms.iter().all(|(_, t)| !matches!(t, Term::Field(f) if !whole(*f)));
            if !(fields && whole(field)) {
                terms.iter_mut().filter(|(op, _)| *op == '%').for_each(|(op, _)| *op = '+');
            }
            Expr::Sum(field, terms, relation, Lit::Int(value))
        },
    )
}

pub(crate) fn leaf() -> impl Strategy<Value = Expr> {
    let typed = || (0..8usize).prop_flat_map(|f| (Just(f), 0..6usize, literal(f)));
    let pattern = || prop::sample::select(PATTERNS.to_vec());
    let listed = (0..8usize).prop_flat_map(|f| (Just(f), any::<bool>(), literals(f)));
    let places = 0..PLACES.len();
    prop_oneof![
        4 => typed().prop_map(|(f, r, v)| Expr::Field(f, r, v)),
        1 => (0..4usize, int(), int()).prop_map(|(f, lo, hi)| Expr::Range(f, lo, hi)),
        2 => listed.prop_map(|(f, not, items)| Expr::In(f, not, items)),
        2 => pattern().prop_map(|p| Expr::Like(7, p)),
        1 => (0..6usize, 0..6usize, 0..6usize).prop_map(|(a, r, b)| Expr::Pair(a, r, b)),
        1 => (0..6usize).prop_map(|r| Expr::Pair(7, r, 7)),
        2 => sums(),
        4 => (places.clone(), 0..6usize, literal(8)).prop_map(|(p, r, v)| Expr::Place(p, r, v)),
        2 => (places.clone(), any::<bool>(), literals(8))
            .prop_map(|(p, not, items)| Expr::PlaceIn(p, not, items)),
        1 => (places.clone(), pattern()).prop_map(|(p, pattern)| Expr::PlaceLike(p, pattern)),
        1 => places.clone().prop_map(Expr::Exists),
        2 => (0..3usize, places, literals(8)).prop_map(|(k, p, items)| Expr::Contains(k, p, items)),
    ]
}

fn bits() -> impl Strategy<Value = Expr> {
    let whole = || 0..4usize;
    let term = prop_oneof![whole().prop_map(Term::Field), int().prop_map(Term::Int)];
    let terms = prop::collection::vec((0..BITS.len(), term), 0..4);
    let sign = prop::option::of(prop::sample::select(vec!['-', '~', '+']));
    (whole(), terms, 0..6usize, int(), sign)
        .prop_map(|(f, terms, r, v, sign)| Expr::Bits(f, terms, r, v, sign))
}

/// Nulls, arrays, regular expressions and bit operations.
fn newer_leaf() -> impl Strategy<Value = Expr> {
    let array = || (10..13usize).prop_flat_map(|f| (Just(f), literal(f)));
    let listed = || (10..13usize).prop_flat_map(|f| (Just(f), literals(f)));
    let known = prop_oneof![
        prop::sample::select(INT_LISTS.to_vec())
            .prop_map(|v| (10, v.iter().map(|v| Lit::Int(*v)).collect())),
        prop::sample::select(TEXT_LISTS.to_vec())
            .prop_map(|v| (11, v.iter().map(|v| Lit::Text(v)).collect())),
        prop::sample::select(FLOAT_LISTS.to_vec())
            .prop_map(|v| (12, v.iter().map(|v| Lit::Float(f64::from(*v))).collect())),
    ];
    let pattern = || prop::sample::select(REGEXES.to_vec());
    prop_oneof![
        2 => (0..13usize, any::<bool>()).prop_map(|(f, not)| Expr::Null(f, not)),
        1 => (0..PLACES.len(), any::<bool>()).prop_map(|(p, not)| Expr::PlaceNull(p, not)),
        1 => (0..4u32, any::<bool>()).prop_map(|(i, not)| Expr::ElementNull(i, not)),
        1 => (any::<bool>(), pattern()).prop_map(|(not, p)| Expr::Regex(7, not, p)),
        1 => (0..PLACES.len(), pattern()).prop_map(|(p, pattern)| Expr::PlaceRegex(p, pattern)),
        2 => (array(), 0..4u32, 0..6usize).prop_map(|((f, v), i, r)| Expr::Element(f, i, r, v)),
        2 => (listed(), 0..3u32, any::<bool>())
            .prop_map(|((f, items), i, not)| Expr::ElementIn(f, i, not, items)),
        1 => (10..13usize, 0..6usize, 0..5i64).prop_map(|(f, r, v)| Expr::Length(f, r, v)),
        2 => (known, any::<bool>()).prop_map(|((f, items), not)| Expr::Arrays(f, not, items)),
        2 => (listed(), 0..3usize).prop_map(|((f, items), k)| Expr::ArrayContains(k, f, items)),
        3 => bits(),
        1 => (0..4usize, 0..6usize, int()).prop_map(|(f, r, v)| Expr::Mixed(f, r, v)),
    ]
}

pub(crate) fn expr() -> impl Strategy<Value = Expr> {
    prop_oneof![leaf(), newer_leaf()].prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            1 => inner.clone().prop_map(|e| Expr::Not(Box::new(e))),
            2 => prop::collection::vec(inner.clone(), 1..5).prop_map(Expr::And),
            2 => prop::collection::vec(inner, 1..5).prop_map(Expr::Or),
        ]
    })
}

/// What a row of the table is made from.
type Row = ((i64, (f64, f64), bool, usize, usize), usize, u16, usize);

fn rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
    let row = (int(), (float_value(), float_value()), any::<bool>(), 0..TEXTS.len(), 0..10usize);
    prop::collection::vec((row, 0..10usize, any::<u16>(), 0..60usize), 0..most)
}

/// Up to 200 rows; sometimes a column is missing.
pub(crate) fn table() -> impl Strategy<Value = (usize, Table)> {
    let nullable = prop::collection::vec(any::<bool>(), 13);
    (rows(200), prop::option::weighted(0.2, 100..110i64), nullable)
        .prop_map(|(rows, missing, nullable)| (rows.len(), table_of(&rows, missing, &nullable)))
}

/// Rows in the order of one of their values, each of them several times in a row, and a table of
/// the same rows once; some floats are no numbers.
pub(crate) fn clustered(
    most: usize,
    times: impl Strategy<Value = usize>,
) -> impl Strategy<Value = (usize, usize, Table, Table)> {
    let nullable = prop::collection::vec(prop::bool::weighted(0.3), 13);
    (rows(most), times, nullable, 0..4usize, any::<u16>()).prop_map(
        |(mut rows, times, nullable, order, nan)| {
            match order {
                0 => rows.sort_by_key(|row| row.0.0),
                1 => rows.sort_by_key(|row| TEXTS[row.0.3]),
                2 => rows.sort_by(|a, b| a.0.1.0.total_cmp(&b.0.1.0)),
                _ => {}
            }
            for (at, row) in rows.iter_mut().enumerate() {
                if nan & 3 == 0 && at % 7 == usize::from(nan >> 2 & 7) {
                    row.0.1 = (f64::NAN, f64::NAN);
                }
            }
            let many: Vec<Row> = rows.iter().flat_map(|row| vec![*row; times]).collect();
            let (once, many) = (table_of(&rows, None, &nullable), table_of(&many, None, &nullable));
            (rows.len(), times, once, many)
        },
    )
}

fn table_of(rows: &[Row], missing: Option<i64>, nullable: &[bool]) -> Table {
    let present = |f: usize| rows.iter().map(move |r| u8::from(r.2 >> f & 3 != 0)).collect();
    let validity = (0..13).filter(|&f| f != 9 && nullable[f]);
    let validity = validity.map(|f| (100 + f as i64, present(f))).collect();
    let ints = || rows.iter().map(|r| r.0.0);
    let text: Vec<_> = rows.iter().map(|r| TEXTS[r.0.3]).collect();
    let documents: Vec<_> = rows.iter().map(|r| DOCUMENTS[r.0.4]).collect();
    let metas: Vec<_> = rows.iter().map(|r| DOCUMENTS[r.1]).collect();
    let mut columns = HashMap::from([
        (100, Owned::Int64(ints().collect())),
        (101, Owned::Int8(ints().map(|v| v as i8).collect())),
        (102, Owned::Int16(ints().map(|v| v as i16).collect())),
        (103, Owned::Int32(ints().map(|v| v as i32).collect())),
        (104, Owned::Float(rows.iter().map(|r| r.0.1.0 as f32).collect())),
        (105, Owned::Double(rows.iter().map(|r| r.0.1.1).collect())),
        (106, Owned::Bool(rows.iter().map(|r| u8::from(r.0.2)).collect())),
        (107, support::text(&text)),
        (108, support::json(&documents)),
        (109, support::json(&metas)),
        (110, support::ints(DataType::Int64, &pick(&INT_LISTS, rows.iter().map(|r| r.3)))),
        (111, support::text_lists(&pick(&TEXT_LISTS, rows.iter().map(|r| r.3)))),
        (112, support::floats(&pick(&FLOAT_LISTS, rows.iter().map(|r| r.3)))),
    ]);
    if let Some(missing) = missing {
        columns.remove(&missing);
    }
    Table(columns, validity)
}

fn pick<T: Clone>(lists: &[&[T]], rows: impl Iterator<Item = usize>) -> Vec<Vec<T>> {
    rows.map(|row| lists[row % lists.len()].to_vec()).collect()
}

pub(crate) fn schema() -> CollectionSchema {
    support::schema(&FIELDS)
}
