//! `like` patterns: `%` is any run of characters, `_` one character, a backslash takes the next
//! character as it is.
//!
//! A pattern is cut at its `%` into pieces. The first and the last are anchored; the others are
//! found from left to right, each as early as possible, which is enough: no backtracking. A piece
//! with `_` is found by running all its partial matches as bits of a few words (Shift-And), so the
//! time is linear in the text for every pattern.

use std::collections::HashMap;

use crate::limits::LIKE_WILD_CHARS_MAX;

/// One piece between two `%`.
#[derive(Debug)]
enum Piece {
    /// Plain bytes, and how to find them, if they are to be found.
    Plain(Vec<u8>, Option<Box<memchr::memmem::Finder<'static>>>),
    /// Characters, of which `None` is any one; and how to find them, if they are to be found.
    Wild(Vec<Option<char>>, Option<Finder>),
}

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// Never empty; with one piece there is no `%`.
    pieces: Vec<Piece>,
}

/// What a pattern asks of a text behind its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// That nothing follows.
    None,
    /// Nothing.
    Any,
    /// Something.
    Other,
}

impl Pattern {
    /// Compiles a pattern. [`check`] has accepted it; a piece beyond its bound matches nothing.
    pub(crate) fn new(text: &str) -> Pattern {
        let mut pieces: Vec<_> = pieces(text).into_iter().map(Piece::new).collect();
        let last = pieces.len() - 1;
        for piece in pieces.iter_mut().take(last).skip(1) {
            match piece {
                Piece::Wild(chars, finder) => *finder = Some(Finder::new(chars)),
                Piece::Plain(bytes, finder) => {
                    let made = memchr::memmem::Finder::new(bytes).into_owned();
                    *finder = Some(Box::new(made));
                }
            }
        }
        Pattern { pieces }
    }

    /// The bytes that every matching text begins with, and whether nothing else is asked of it:
    /// any end will do, or none.
    pub(crate) fn beginning(&self) -> (&[u8], Ending) {
        let first = match self.pieces.first() {
            Some(Piece::Plain(bytes, _)) => bytes,
            _ => return (&[], Ending::Other),
        };
        let ending = match &self.pieces[1..] {
            [] => Ending::None,
            [Piece::Plain(last, _)] if last.is_empty() => Ending::Any,
            _ => Ending::Other,
        };
        (first, ending)
    }

    /// Whether the whole text matches.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let (first, middle, last) = match &self.pieces[..] {
            [first, middle @ .., last] => (first, middle, last),
            only => return only.iter().all(|piece| piece.prefix(text) == Some(text.len())),
        };
        let Some(start) = first.prefix(text) else { return false };
        let Some(end) = last.suffix(&text[start..]) else { return false };
        let mut rest = &text[start..start + end];
        for piece in middle {
            match piece.find(rest) {
                Some(after) => rest = &rest[after..],
                None => return false,
            }
        }
        true
    }
}

impl Piece {
    fn new(chars: Vec<Option<char>>) -> Piece {
        match chars.iter().copied().collect::<Option<String>>() {
            Some(plain) => Piece::Plain(plain.into_bytes(), None),
            None => Piece::Wild(chars, None),
        }
    }

    /// The length of the match at the start of a text.
    #[inline]
    fn prefix(&self, text: &[u8]) -> Option<usize> {
        match self {
            // Comparing with an empty vector reads from no address, which some processors do slowly.
            Piece::Plain(bytes, _) if bytes.is_empty() => Some(0),
            Piece::Plain(bytes, _) => text.starts_with(bytes).then_some(bytes.len()),
            Piece::Wild(chars, _) => chars.iter().try_fold(0, |at, want| {
                let (c, width) = first_char(&text[at..])?;
                (want.is_none() || *want == c).then_some(at + width)
            }),
        }
    }

    /// Where the match at the end of a text starts.
    #[inline]
    fn suffix(&self, text: &[u8]) -> Option<usize> {
        match self {
            Piece::Plain(bytes, _) if bytes.is_empty() => Some(text.len()),
            Piece::Plain(bytes, _) => text.ends_with(bytes).then(|| text.len() - bytes.len()),
            Piece::Wild(chars, _) => {
                let mut start = text.len();
                for _ in chars {
                    start = previous_char(text, start)?;
                }
                (self.prefix(&text[start..])? == text.len() - start).then_some(start)
            }
        }
    }

    /// Behind the first match in a text.
    fn find(&self, text: &[u8]) -> Option<usize> {
        match self {
            Piece::Plain(bytes, _) if text.len() <= SHORT => short_find(bytes, text),
            Piece::Plain(bytes, finder) => finder.as_ref()?.find(text).map(|at| at + bytes.len()),
            Piece::Wild(_, finder) => finder.as_ref()?.find(text),
        }
    }
}

/// Texts up to here are searched place by place: a finder costs more to start than that.
const SHORT: usize = 32;

/// Behind the first occurrence in a short text.
fn short_find(piece: &[u8], text: &[u8]) -> Option<usize> {
    let Some((&first, rest)) = piece.split_first() else { return Some(0) };
    let starts = text.iter().enumerate().filter(|(_, byte)| **byte == first);
    let mut ends = starts.map(|(at, _)| at + 1);
    ends.find(|&at| text[at..].starts_with(rest)).map(|at| at + rest.len())
}

/// The pieces between the `%` of a pattern; at least one.
fn pieces(text: &str) -> Vec<Vec<Option<char>>> {
    let mut pieces = Vec::new();
    let mut current: Vec<Option<char>> = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => pieces.push(std::mem::take(&mut current)),
            '_' => current.push(None),
            '\\' => current.push(Some(chars.next().unwrap_or('\\'))),
            other => current.push(Some(other)),
        }
    }
    pieces.push(current);
    pieces
}

/// Refuses a pattern that would cost too much to find.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let too_long = |piece: &Vec<_>| piece.len() > LIKE_WILD_CHARS_MAX && piece.contains(&None);
    let pieces = pieces(text);
    if pieces.iter().skip(1).rev().skip(1).any(too_long) {
        return Err(format!(
            "like pattern has more than {LIKE_WILD_CHARS_MAX} characters with '_' between two '%'"
        ));
    }
    Ok(())
}

/// Finds characters, of which some are any, wherever they are.
#[derive(Debug)]
struct Finder {
    /// Words of a state: bit `i` says that the last `i + 1` characters match the first `i + 1`.
    words: usize,
    /// The bit of a whole match, in the last word.
    whole: u64,
    /// Rows of `words` words: the places where a character may stand. Row 0 is for any other.
    places: Vec<u64>,
    rows: HashMap<char, usize>,
}

impl Finder {
    fn new(chars: &[Option<char>]) -> Finder {
        let chars = if chars.len() > LIKE_WILD_CHARS_MAX { &[] } else { chars };
        let words = chars.len().div_ceil(64).max(1);
        let mut places = vec![0u64; words];
        let mut rows = HashMap::new();
        for (at, _) in chars.iter().enumerate().filter(|(_, c)| c.is_none()) {
            places[at / 64] |= 1 << (at % 64);
        }
        for (at, c) in chars.iter().enumerate().filter_map(|(at, c)| Some((at, (*c)?))) {
            let row = *rows.entry(c).or_insert(places.len() / words);
            if row * words == places.len() {
                places.extend_from_within(..words);
            }
            places[row * words + at / 64] |= 1 << (at % 64);
        }
        let whole = if chars.is_empty() { 0 } else { 1 << ((chars.len() - 1) % 64) };
        Finder { words, whole, places, rows }
    }

    /// Behind the first match in a text.
    fn find(&self, text: &[u8]) -> Option<usize> {
        let mut buffer = [0u64; LIKE_WILD_CHARS_MAX / 64];
        let state = &mut buffer[..self.words];
        let mut at = 0;
        while let Some((c, width)) = first_char(&text[at..]) {
            at += width;
            let row = c.and_then(|c| self.rows.get(&c)).map_or(0, |row| row * self.words);
            let mut carry = 1;
            for (word, places) in state.iter_mut().zip(&self.places[row..]) {
                let next = *word >> 63;
                *word = (*word << 1 | carry) & places;
                carry = next;
            }
            if state[self.words - 1] & self.whole != 0 {
                return Some(at);
            }
        }
        None
    }
}

/// The first character of a text and its width; a byte that starts none stands for itself.
fn first_char(text: &[u8]) -> Option<(Option<char>, usize)> {
    let first = *text.first()?;
    if first.is_ascii() {
        return Some((Some(char::from(first)), 1));
    }
    let width = match first {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    let c = text.get(..width).and_then(|bytes| std::str::from_utf8(bytes).ok()?.chars().next());
    Some((c, if c.is_some() { width } else { 1 }))
}

/// Where the character before `end` starts.
fn previous_char(text: &[u8], end: usize) -> Option<usize> {
    let mut at = end.checked_sub(1)?;
    while at > 0 && end - at < 4 && text[at] & 0xc0 == 0x80 {
        at -= 1;
    }
    Some(at)
}
