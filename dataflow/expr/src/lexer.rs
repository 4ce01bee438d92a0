//! The cursor over a filter text: one token of look-ahead, positions, and the limits on length.

use crate::limits::{LOGIC_BYTES_MAX, TEXT_BYTES_MAX};
use crate::token::{Failure, Symbol, Token, clip, token};

/// A token and the bytes it covers.
#[derive(Clone, Debug)]
pub(crate) struct Spanned<'a> {
    pub(crate) token: Token<'a>,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Takes tokens one at a time; never holds more than one.
pub(crate) struct Lexer<'a> {
    text: &'a str,
    rest: &'a str,
    peeked: Option<Spanned<'a>>,
    lists: usize,
    logic_bytes: usize,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Result<Lexer<'a>, String> {
        if text.len() > TEXT_BYTES_MAX {
            let length = text.len();
            return Err(format!("expression of {length} bytes exceeds {TEXT_BYTES_MAX} bytes"));
        }
        Ok(Lexer { text, rest: text, peeked: None, lists: 0, logic_bytes: 0 })
    }

    /// The token that comes next, left where it is.
    pub(crate) fn peek(&mut self) -> Result<&Spanned<'a>, String> {
        let next = match self.peeked.take() {
            Some(spanned) => spanned,
            None => self.scan()?,
        };
        Ok(self.peeked.insert(next))
    }

    /// Takes the next token.
    pub(crate) fn next(&mut self) -> Result<Spanned<'a>, String> {
        match self.peeked.take() {
            Some(spanned) => Ok(spanned),
            None => self.scan(),
        }
    }

    /// Takes the next token if it is this symbol; returns the end of it.
    pub(crate) fn take(&mut self, symbol: Symbol) -> Result<Option<usize>, String> {
        if self.peek()?.token != Token::Symbol(symbol) {
            return Ok(None);
        }
        self.next().map(|spanned| Some(spanned.end))
    }

    /// The symbol that comes next, if it is one.
    pub(crate) fn symbol(&mut self) -> Result<Option<Symbol>, String> {
        Ok(match self.peek()?.token {
            Token::Symbol(symbol) => Some(symbol),
            _ => None,
        })
    }

    /// Takes the `=` of a named argument, which is no token anywhere else.
    pub(crate) fn assign(&mut self) -> bool {
        let rest = self.rest.trim_start();
        match rest.strip_prefix('=') {
            Some(rest) if self.peeked.is_none() && !rest.starts_with(['=', '~']) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn scan(&mut self) -> Result<Spanned<'a>, String> {
        let from = self.text.len() - self.rest.len();
        let (skipped, token) = token(&mut self.rest);
        let start = from + skipped;
        let token = match token {
            Ok(token) => token,
            Err(Failure::Value(reason)) => return Err(reason),
            Err(Failure::Unrecognised) => return Err(self.unrecognised(start)),
        };
        let end = self.text.len() - self.rest.len();
        match token {
            Token::Symbol(Symbol::OpenList) => self.lists += 1,
            Token::Symbol(Symbol::CloseList) => self.lists = self.lists.saturating_sub(1),
            _ => {}
        }
        if self.lists == 0 {
            self.logic_bytes += end - from;
            if self.logic_bytes > LOGIC_BYTES_MAX {
                return Err(format!("expression exceeds {LOGIC_BYTES_MAX} bytes outside of lists"));
            }
        }
        Ok(Spanned { token, start, end })
    }

    fn unrecognised(&self, start: usize) -> String {
        let rest = &self.text[start..];
        let end = match rest.chars().next() {
            Some('"' | '\'') => rest.len(),
            _ => rest.char_indices().nth(2).map_or(rest.len(), |(at, _)| at),
        };
        self.at(start, &format!("token recognition error at: '{}'", clip(&rest[..end])))
    }

    /// `line 1:8 <message>`, as ANTLR counts: lines from 1, columns from 0.
    pub(crate) fn at(&self, offset: usize, message: &str) -> String {
        let before = &self.text[..offset];
        let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count();
        format!("line {line}:{column} {message}")
    }

    /// A token as an error repeats it.
    pub(crate) fn spell(&self, spanned: &Spanned<'_>) -> String {
        match spanned.token {
            Token::End => "<EOF>".into(),
            _ => clip(&self.text[spanned.start..spanned.end]).into_owned(),
        }
    }
}

/// A piece of the text without the white space between its tokens.
pub(crate) fn compact(text: &str, start: usize, end: usize) -> String {
    let (mut out, mut quote) = (String::new(), None);
    let mut escaped = false;
    for c in clip(text.get(start..end).unwrap_or("")).chars() {
        match quote {
            Some(q) if c == q && !escaped => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        if quote.is_some() || !c.is_whitespace() {
            out.push(c);
        }
    }
    out
}

/// The `index`-th item of the list that opens at `start`, as it is written.
pub(crate) fn item(text: &str, start: usize, index: usize) -> Option<&str> {
    let mut rest = text.get(start..)?;
    let (mut depth, mut item, mut from, mut until) = (0usize, 0, None, start);
    loop {
        let (skipped, token) = token(&mut rest);
        let end = text.len() - rest.len();
        let symbol = match token.ok()? {
            Token::Symbol(symbol) => Some(symbol),
            Token::End => return None,
            _ => None,
        };
        let closes = depth == 1 && symbol == Some(Symbol::CloseList);
        if closes || (depth == 1 && symbol == Some(Symbol::Comma)) {
            if item == index {
                return text.get(from?..until);
            }
            (item, from) = (item + 1, None);
        } else if depth > 0 {
            from = from.or(Some(until + skipped));
        }
        match symbol {
            Some(Symbol::OpenList | Symbol::Open) => depth += 1,
            Some(Symbol::CloseList | Symbol::Close) => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if closes {
            return None;
        }
        until = end;
    }
}
