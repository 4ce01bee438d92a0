//! Tokens of the filter language: what winnow recognises at one position of the text.

use std::borrow::Cow;

use winnow::ascii::{digit0, digit1, hex_digit1, multispace0, oct_digit0};
use winnow::combinator::{alt, dispatch, not, opt, peek, preceded, repeat, terminated};
use winnow::prelude::*;
use winnow::token::{any, one_of, take, take_while};

/// Punctuation, operators and keywords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Symbol {
    Open,
    Close,
    OpenList,
    CloseList,
    OpenBrace,
    CloseBrace,
    Comma,
    Or,
    And,
    Not,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Plus,
    Minus,
    Times,
    Divide,
    Modulo,
    Power,
    BitAnd,
    BitOr,
    BitXor,
    BitNot,
    ShiftLeft,
    ShiftRight,
    In,
    Like,
    Exists,
    Is,
    Null,
    Matches,
    NotMatches,
}

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token<'a> {
    /// An integer without sign; 2^63 is kept for the minus before it.
    Int(u64),
    Float(f64),
    Bool(bool),
    Text(Cow<'a, str>),
    /// A field, key or function name, `$meta` included.
    Name(&'a str),
    Symbol(Symbol),
    End,
}

/// A token as it is spelt, before its value is taken.
#[derive(Clone, Copy)]
enum Spelling<'a> {
    Radix(&'a str, u32),
    Decimal(&'a str),
    Float(&'a str),
    HexFloat(&'a str),
    Quoted(&'a str),
    /// A text in which a backslash is a backslash.
    Raw(&'a str),
    /// A `$` that is no field.
    Element,
    Word(&'a str),
    Symbol(Symbol),
}

/// Why there is no token here.
pub(crate) enum Failure {
    /// No token starts like this.
    Unrecognised,
    /// A token without a value, with the reason.
    Value(String),
}

/// Takes white space and the token after it; returns the token and the bytes of that white space.
pub(crate) fn token<'a>(input: &mut &'a str) -> (usize, Result<Token<'a>, Failure>) {
    let before = input.len();
    let _: ModalResult<&str> = multispace0.parse_next(input);
    let skipped = before - input.len();
    if input.is_empty() {
        return (skipped, Ok(Token::End));
    }
    let token = match spelling(input) {
        Ok(spelling) => value(spelling).map_err(Failure::Value),
        Err(_) => Err(Failure::Unrecognised),
    };
    (skipped, token)
}

fn spelling<'a>(input: &mut &'a str) -> ModalResult<Spelling<'a>> {
    dispatch! {peek(any);
        '0'..='9' | '.' => number,
        'r' | 'R' => alt((raw, word.map(Spelling::Word))),
        '"' => |i: &mut &'a str| quoted('"', i),
        '\'' => |i: &mut &'a str| quoted('\'', i),
        'a'..='z' | 'A'..='Z' | '_' => word.map(Spelling::Word),
        '$' => alt((
            terminated("$meta", not(one_of(is_word))).map(Spelling::Word),
            '$'.value(Spelling::Element),
        )),
        _ => symbol.map(Spelling::Symbol),
    }
    .parse_next(input)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn word<'a>(input: &mut &'a str) -> ModalResult<&'a str> {
    take_while(1.., is_word).parse_next(input)
}

fn number<'a>(input: &mut &'a str) -> ModalResult<Spelling<'a>> {
    let plain = input.bytes().take_while(u8::is_ascii_digit).count();
    let odd = |b: &u8| matches!(b, b'.' | b'e' | b'E' | b'x' | b'X' | b'b' | b'B');
    if !input.starts_with(['0', '.']) && !input.as_bytes().get(plain).is_some_and(odd) {
        // What nearly all numbers are, and lists have by the million.
        return take(plain).map(Spelling::Decimal).parse_next(input);
    }
    let exponent = |marks: [char; 2]| (one_of(marks), opt(one_of(['+', '-'])), digit1);
    let hex = alt(("0x", "0X"));
    let hex_float = (hex, take_while(0.., is_hex_or_point), exponent(['p', 'P'])).take();
    let float = alt((
        (digit1, '.', digit0, opt(exponent(['e', 'E']))).void(),
        ('.', digit1, opt(exponent(['e', 'E']))).void(),
        (digit1, exponent(['e', 'E'])).void(),
    ));
    alt((
        hex_float.map(Spelling::HexFloat),
        preceded(alt(("0x", "0X")), hex_digit1).map(|digits| Spelling::Radix(digits, 16)),
        preceded(alt(("0b", "0B")), take_while(1.., ['0', '1']))
            .map(|digits| Spelling::Radix(digits, 2)),
        float.take().map(Spelling::Float),
        ('0', oct_digit0).take().map(|digits| Spelling::Radix(digits, 8)),
        digit1.map(Spelling::Decimal),
    ))
    .parse_next(input)
}

fn is_hex_or_point(c: char) -> bool {
    c.is_ascii_hexdigit() || c == '.'
}

fn quoted<'a>(quote: char, input: &mut &'a str) -> ModalResult<Spelling<'a>> {
    let piece =
        alt((take_while(1.., move |c: char| c != quote && c != '\\').void(), ('\\', any).void()));
    let body = repeat::<_, _, (), _, _>(0.., piece).take();
    (quote, body, quote).map(|(_, body, _)| Spelling::Quoted(body)).parse_next(input)
}

/// `r"text"`: everything up to the next such quote, as it is.
fn raw<'a>(input: &mut &'a str) -> ModalResult<Spelling<'a>> {
    let text = |quote: char| (quote, take_while(0.., move |c| c != quote), quote);
    let text = alt((text('"'), text('\'')));
    (one_of(['r', 'R']), text).map(|(_, (_, body, _))| Spelling::Raw(body)).parse_next(input)
}

fn symbol(input: &mut &str) -> ModalResult<Symbol> {
    alt((take(2usize).verify_map(double), any.verify_map(single))).parse_next(input)
}

fn double(two: &str) -> Option<Symbol> {
    Some(match two {
        "**" => Symbol::Power,
        "&&" => Symbol::And,
        "||" => Symbol::Or,
        "==" => Symbol::Equal,
        "!=" => Symbol::NotEqual,
        "<=" => Symbol::LessEqual,
        ">=" => Symbol::GreaterEqual,
        "<<" => Symbol::ShiftLeft,
        ">>" => Symbol::ShiftRight,
        "=~" => Symbol::Matches,
        "!~" => Symbol::NotMatches,
        _ => return None,
    })
}

fn single(c: char) -> Option<Symbol> {
    Some(match c {
        '(' => Symbol::Open,
        ')' => Symbol::Close,
        '[' => Symbol::OpenList,
        ']' => Symbol::CloseList,
        '{' => Symbol::OpenBrace,
        '}' => Symbol::CloseBrace,
        ',' => Symbol::Comma,
        '!' => Symbol::Not,
        '<' => Symbol::Less,
        '>' => Symbol::Greater,
        '+' => Symbol::Plus,
        '-' => Symbol::Minus,
        '*' => Symbol::Times,
        '/' => Symbol::Divide,
        '%' => Symbol::Modulo,
        '&' => Symbol::BitAnd,
        '|' => Symbol::BitOr,
        '^' => Symbol::BitXor,
        '~' => Symbol::BitNot,
        _ => return None,
    })
}

fn value(spelling: Spelling<'_>) -> Result<Token<'_>, String> {
    Ok(match spelling {
        Spelling::Radix(digits, radix) => integer(digits, radix)?,
        Spelling::Decimal(digits) => integer(digits, 10)?,
        Spelling::Float(text) => match text.parse::<f64>() {
            Ok(v) if v.is_finite() => Token::Float(v),
            _ => return Err(format!("parsing \"{text}\": value out of range")),
        },
        Spelling::HexFloat(text) => Token::Float(hex_float(text)?),
        Spelling::Quoted(body) => Token::Text(unescape(body)?),
        Spelling::Raw(body) => Token::Text(Cow::Borrowed(body)),
        Spelling::Element => {
            return Err("struct element access with $ is not supported in filters".into());
        }
        Spelling::Word(word) => keyword(word),
        Spelling::Symbol(symbol) => Token::Symbol(symbol),
    })
}

/// Keywords are spelt in lower or in upper case; anything else is a name.
fn keyword(word: &str) -> Token<'_> {
    Token::Symbol(match word {
        "and" | "AND" => Symbol::And,
        "or" | "OR" => Symbol::Or,
        "not" | "NOT" => Symbol::Not,
        "in" | "IN" => Symbol::In,
        "like" | "LIKE" => Symbol::Like,
        "exists" | "EXISTS" => Symbol::Exists,
        "is" | "IS" => Symbol::Is,
        "null" | "NULL" => Symbol::Null,
        "true" | "True" | "TRUE" => return Token::Bool(true),
        "false" | "False" | "FALSE" => return Token::Bool(false),
        _ => return Token::Name(word),
    })
}

fn integer<'a>(digits: &str, radix: u32) -> Result<Token<'a>, String> {
    match u64::from_str_radix(digits, radix) {
        Ok(v) if v <= 1 << 63 => Ok(Token::Int(v)),
        _ => Err(format!("parsing \"{}\": value out of range", clip(digits))),
    }
}

/// The start of a text that may be long.
pub(crate) fn clip(text: &str) -> Cow<'_, str> {
    let max = crate::limits::ECHO_BYTES_MAX;
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let mut end = max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{}...", &text[..end]))
}

fn hex_float(text: &str) -> Result<f64, String> {
    let bad = || format!("parsing \"{}\": invalid hexadecimal float", clip(text));
    let body = text.get(2..).unwrap_or("");
    let (digits, exponent) = body.split_once(['p', 'P']).ok_or_else(bad)?;
    let exponent: i32 = exponent.parse().map_err(|_| bad())?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(bad());
    }
    let mantissa = (whole.chars().chain(fraction.chars()))
        .fold(0.0, |sum, c| sum * 16.0 + f64::from(c.to_digit(16).unwrap_or(0)));
    let places = i32::try_from(fraction.len()).map_err(|_| bad())?.saturating_mul(4);
    let value = mantissa * 2f64.powi(exponent.saturating_sub(places));
    if value.is_finite() { Ok(value) } else { Err(bad()) }
}

/// The text that a literal's body stands for. An escape that C does not know stands for itself,
/// backslash included, so that `\%` reaches the pattern of a `like`.
fn unescape(body: &str) -> Result<Cow<'_, str>, String> {
    if !body.contains('\\') {
        return Ok(Cow::Borrowed(body));
    }
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = escape(&rest[at + 1..], &mut out)?;
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8(out).map(Cow::Owned).map_err(|_| "string literal is not valid UTF-8".into())
}

/// Appends what the escape after a backslash means; returns the text behind it.
fn escape<'a>(text: &'a str, out: &mut Vec<u8>) -> Result<&'a str, String> {
    let Some(kind) = text.chars().next() else { return Ok(text) };
    let rest = &text[kind.len_utf8()..];
    let simple = match kind {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '\'' => b'\'',
        '"' => b'"',
        '?' => b'?',
        '0'..='7' => return octal(text, out),
        'x' => return coded(rest, 2, out, |code, out| out.push(code as u8)),
        'u' => return coded(rest, 4, out, push_char),
        'U' => return coded(rest, 8, out, push_char),
        _ => {
            out.push(b'\\');
            out.extend_from_slice(&text.as_bytes()[..kind.len_utf8()]);
            return Ok(rest);
        }
    };
    out.push(simple);
    Ok(rest)
}

fn octal<'a>(text: &'a str, out: &mut Vec<u8>) -> Result<&'a str, String> {
    let digits = text.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
    let code = u32::from_str_radix(&text[..digits], 8).unwrap_or(u32::MAX);
    out.push(u8::try_from(code).map_err(|_| format!("invalid escape \\{}", &text[..digits]))?);
    Ok(&text[digits..])
}

fn coded<'a>(
    text: &'a str,
    digits: usize,
    out: &mut Vec<u8>,
    push: impl Fn(u32, &mut Vec<u8>),
) -> Result<&'a str, String> {
    let code = text.get(..digits).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
    let code = code.and_then(|d| u32::from_str_radix(d, 16).ok());
    let code = code.ok_or("invalid escape in a string literal")?;
    push(code, out);
    Ok(&text[digits..])
}

fn push_char(code: u32, out: &mut Vec<u8>) {
    let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}
