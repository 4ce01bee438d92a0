//! Filters that are no sentences of the language.
// tidy: table

use super::{Wrong, unreadable};

const BINARY: [&str; 20] = [
    "==", "!=", "<", "<=", ">", ">=", "*", "/", "%", "**", "&", "|", "^", "<<", ">>", "&&", "||",
    "and", "or", "in",
];

/// Operators without a side, and two operators in a row.
pub(super) fn operators() -> Vec<Wrong> {
    let mut found = Vec::new();
    for first in BINARY {
        found.push(unreadable(format!("i64 {first}")));
        found.push(unreadable(format!("{first} i64")));
        found.push(unreadable(format!("(i64 {first}) == 1")));
        for second in ["==", "<", "*", "&&", "or", "in"] {
            found.push(unreadable(format!("i64 {first} {second} 1")));
        }
    }
    for word in ["like", "not like", "=~", "!~"] {
        for right in ["", "s", "1", "true", "('x')", "['x']", "null"] {
            found.push(unreadable(format!("s {word} {right}").trim_end()));
        }
    }
    for prefix in ["-", "+", "~", "!", "not", "exists"] {
        found.push(unreadable(prefix));
        found.push(unreadable(format!("{prefix} == 1")));
        found.push(unreadable(format!("i64 == {prefix}")));
    }
    found
}

/// Filters that end too soon or too late, and brackets that do not fit.
pub(super) fn pieces() -> Vec<Wrong> {
    let mut found = Vec::new();
    // Every proper prefix of a filter in parentheses lacks at least its end.
    let whole = "( id == 1 and ( i8 in [ 1 , 2 ] or not ( s like 'a%' ) ) && json_contains ( j [ \
                 'k' ] , [ 1 , 'x' ] ) || exists j [ 'k' ] [ 0 ] and f is not null )";
    let words: Vec<&str> = whole.split_whitespace().collect();
    for count in 1..words.len() {
        found.push(unreadable(words[..count].join(" ")));
    }
    for extra in [
        ")", "]", "}", "1", "1.5", "i64", "'x'", "true", "[1]", "null", "exists", ",", "(", "[",
        "{", "not", "not 1", "is", "in", "like",
    ] {
        found.push(unreadable(format!("i64 == 1 {extra}")));
    }
    for text in [
        "(i64 == 1]",
        "[i64 == 1)",
        "(i64 == 1}",
        "i64 in (1, 2)",
        "i64 in [1, 2)",
        "i64 in (1, 2]",
        "i64 in {1, 2}",
        "i64 in [1 2]",
        "i64 in [,]",
        "i64 in [,1]",
        "i64 in [1,,2]",
        "i64 in [[1]",
        "((i64 == 1)",
        "i64 == (1",
        "()",
        "(())",
        "i64 ==",
        "== 1",
        "i64 = 1",
        "i64 === 1",
        "i64 =! 1",
        "i64 => 1",
        "i64 =< 1",
        "i64 <> 1",
        "i64 > 1 AND",
        "i64 > 1 And i64 < 3",
        "i64 > 1 Or i64 < 3",
        "Not (i64 > 1)",
        "i64 > 1 & & i64 < 3",
        "i64 > 1 &&& i64 < 3",
        "i64 > 1 | | i64 < 3",
        "i64 > 1 xor i64 < 3",
        "i64 between 1 and 3",
        "i64 not == 1",
        "i64 is",
        "i64 is not",
        "i64 is 1",
        "i64 is true",
        "i64 isnull",
        "i64 IS Null",
        "i64 not is null",
        "1 < i64 > 0",
        "1 > i64 < 3",
        "select * from filtered",
        "i64 == 1; i64 == 2",
        "i64 == 1 -- all",
        "i64 == 1 /* all */",
        "i64 == 1 ? true : false",
        "{}",
        "{x",
        "i64 == {",
        "i64 == {1}",
        "i64 == {x y}",
        "i64 == ${x}",
        "if i64 == 1",
        "lambda x: x",
        "i64 == 1 if b else 2",
        "i64[",
        "j[",
        "j['k'",
        "j[]",
        "j.k == 1",
        "json_contains(",
        "json_contains(j",
        "json_contains(j['k'],",
        "json_contains j['k'], 1",
        "json_contains()",
        "array_length ints == 1",
    ] {
        found.push(unreadable(text));
    }
    found
}

/// Characters that no token begins with, texts without an end, and escapes that are none.
pub(super) fn escapes() -> Vec<Wrong> {
    let mut found = Vec::new();
    for odd in
        ["@", "#", ";", ":", "?", "`", "\\", "é", "中", "≠", "∧", "“x”", "\u{a0}", "🦀", "=", "."]
    {
        found.push(unreadable(format!("i64 {odd} 1")));
        found.push(unreadable(format!("i64 == 1 {odd}")));
        found.push(unreadable(format!("{odd} == 1")));
    }
    for quote in ["'", "\"", "r'", "r\""] {
        for body in ["", "x", "x y", "é", "x and i64 > 1"] {
            found.push(unreadable(format!("s == {quote}{body}")));
        }
    }
    for escape in
        ["\\xff", "\\x4", "\\xzz", "\\u12", "\\uzzzz", "\\U123", "\\777", "\\400", "\\xc3\\x28"]
    {
        found.push(unreadable(format!("s == '{escape}'")));
        found.push(unreadable(format!("s == \"a{escape}\"")));
        found.push(unreadable(format!("s in ['a', 'b{escape}']")));
        found.push(unreadable(format!("j['{escape}'] == 1")));
    }
    found
}
