//! Filters: what happens to a token before it becomes a term.

use std::borrow::Cow;

use aho_corasick::AhoCorasick;
use fancy_regex::Regex;
use frostem::Stemmer;
use hashbrown::HashSet;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use super::{Token, fold};

/// One step of an analyzer.
pub(super) enum Filter {
    /// Lower case.
    Lowercase,
    /// Letters with marks, ligatures and full-width forms become ASCII.
    AsciiFolding,
    /// Keeps tokens of ASCII letters and digits alone.
    AlphaNumOnly,
    /// Keeps tokens with a Chinese character, an ASCII letter or a digit.
    CnAlphaNumOnly,
    /// Keeps tokens with a Chinese character.
    CnCharOnly,
    /// Drops tokens with punctuation or white space.
    RemovePunct,
    /// Keeps tokens of at most so many bytes.
    Length(usize),
    /// Drops these words.
    Stop(HashSet<Box<str>>),
    /// Cuts a token that is made of the words of a list, and of nothing else, into those words.
    Decompounder(AhoCorasick),
    /// Cuts endings off.
    Stemmer(Stemmer),
    /// Keeps tokens that match.
    Regex(Box<Regex>),
}

/// Sends a token through `filters`, and what is left of it to `each`.
///
/// `buffers` has one text a filter; a token that a filter changes lies there.
pub(super) fn pass(
    filters: &[Filter],
    buffers: &mut [String],
    token: Token<'_>,
    each: &mut dyn FnMut(Token<'_>),
) {
    let (Some((filter, filters)), Some((buffer, buffers))) =
        (filters.split_first(), buffers.split_first_mut())
    else {
        return each(token);
    };
    let text = token.text;
    let keep = match filter {
        Filter::Lowercase => {
            if !text.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii()) {
                return pass(filters, buffers, token, each);
            }
            buffer.clear();
            if text.is_ascii() {
                buffer.push_str(text);
                buffer.make_ascii_lowercase();
            } else {
                buffer.extend(text.chars().flat_map(char::to_lowercase));
            }
            return pass(filters, buffers, Token { text: buffer, ..token }, each);
        }
        Filter::AsciiFolding => {
            if text.is_ascii() {
                return pass(filters, buffers, token, each);
            }
            buffer.clear();
            fold::fold(text, buffer);
            return pass(filters, buffers, Token { text: buffer, ..token }, each);
        }
        Filter::Stemmer(stemmer) => {
            let stem: Cow<'_, str> = stemmer.stem(text);
            return pass(filters, buffers, Token { text: &stem, ..token }, each);
        }
        Filter::Decompounder(words) => {
            if !covered(words, text) {
                return pass(filters, buffers, token, each);
            }
            for part in words.find_iter(text) {
                pass(filters, buffers, Token { text: &text[part.range()], ..token }, each);
            }
            return;
        }
        Filter::AlphaNumOnly => text.bytes().all(|b| b.is_ascii_alphanumeric()),
        Filter::CnAlphaNumOnly => text.chars().any(|c| c.is_ascii_alphanumeric() || is_han(c)),
        Filter::CnCharOnly => text.chars().any(is_han),
        Filter::RemovePunct => !text.chars().any(is_punctuation),
        Filter::Length(max) => text.len() <= *max,
        Filter::Stop(words) => !words.contains(text),
        // An expression that gives up on a token does not match it.
        Filter::Regex(regex) => regex.is_match(text).unwrap_or(false),
    };
    if keep {
        pass(filters, buffers, token, each);
    }
}

/// Whether the longest words from the left cover the whole text.
fn covered(words: &AhoCorasick, text: &str) -> bool {
    let mut end = 0;
    words.find_iter(text).all(|part| {
        let joined = part.start() == end;
        end = part.end();
        joined
    }) && end == text.len()
        && end > 0
}

fn is_punctuation(c: char) -> bool {
    if c.is_ascii() {
        // Of the ASCII symbols these are no punctuation in Unicode's sense.
        return c.is_ascii_whitespace()
            || c.is_ascii_punctuation()
                && !matches!(c, '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~');
    }
    c.is_whitespace() || c.general_category_group() == GeneralCategoryGroup::Punctuation
}

/// Whether a character belongs to the Han script.
fn is_han(c: char) -> bool {
    matches!(c,
        '\u{2e80}'..='\u{2e99}' | '\u{2e9b}'..='\u{2ef3}' | '\u{2f00}'..='\u{2fd5}'
        | '\u{3005}' | '\u{3007}' | '\u{3021}'..='\u{3029}' | '\u{3038}'..='\u{303b}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{fa6d}'
        | '\u{fa70}'..='\u{fad9}' | '\u{16fe2}'..='\u{16fe3}' | '\u{16ff0}'..='\u{16ff1}'
        | '\u{20000}'..='\u{2a6df}' | '\u{2a700}'..='\u{2ebe0}' | '\u{2ebf0}'..='\u{2ee5d}'
        | '\u{2f800}'..='\u{2fa1d}' | '\u{30000}'..='\u{323af}')
}
