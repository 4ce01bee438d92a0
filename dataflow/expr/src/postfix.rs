//! What follows a whole operand: `like`, `=~`, `is null` and `in`.

use crate::operand::{Literal, Meaning, Operand, Tree};
use crate::parse::{Parser, operand};
use crate::token::{Symbol, Token, clip};

impl Parser<'_> {
    pub(crate) fn like(&mut self, operands: &mut Vec<Operand>) -> Result<(), String> {
        let left = operands.pop().ok_or("'like' lacks its left side")?;
        let (pattern, end) = self.pattern()?;
        let start = left.start;
        let tree = self.checker.like(left, pattern)?;
        operands.push(operand(Meaning::Predicate(tree), start, end));
        self.count()
    }

    pub(crate) fn regex(&mut self, operands: &mut Vec<Operand>) -> Result<(), String> {
        let left = operands.pop().ok_or("'=~' lacks its left side")?;
        let (pattern, end) = self.pattern()?;
        let start = left.start;
        let tree = self.checker.regex(left, pattern)?;
        operands.push(operand(Meaning::Predicate(tree), start, end));
        self.count()
    }

    /// The text behind `like`, `=~` or `!~`, and where it ends.
    fn pattern(&mut self) -> Result<(String, usize), String> {
        self.lexer.next()?;
        let next = self.lexer.next()?;
        let pattern = match next.token {
            Token::Text(pattern) => pattern.into_owned(),
            Token::Symbol(Symbol::OpenBrace) => match self.template(next.start)?.meaning {
                Meaning::Literal(Literal::Text(pattern)) => pattern,
                _ => return Err(self.mismatched(&next, "StringLiteral")),
            },
            _ => return Err(self.mismatched(&next, "StringLiteral")),
        };
        Ok((pattern, next.end))
    }

    pub(crate) fn is_null(&mut self, operands: &mut Vec<Operand>) -> Result<(), String> {
        self.lexer.next()?;
        let left = operands.pop().ok_or("'is' lacks its left side")?;
        let not = self.lexer.take(Symbol::Not)?.is_some();
        let next = self.lexer.next()?;
        if next.token != Token::Symbol(Symbol::Null) {
            return Err(self.mismatched(&next, "NULL"));
        }
        let (start, end) = (left.start, next.end);
        let tree = self.checker.is_null(left)?;
        let tree = if not { tree.negated() } else { tree };
        operands.push(operand(Meaning::Predicate(tree), start, end));
        self.count()
    }

    pub(crate) fn in_list(&mut self, operands: &mut Vec<Operand>) -> Result<(), String> {
        let left = operands.pop().ok_or("'in' lacks its left side")?;
        if self.lexer.take(Symbol::In)?.is_none() {
            return Err(format!("invalid expression: {}", clip(self.checker.text)));
        }
        let list = self.primary()?;
        let (start, end) = (left.start, list.end);
        let tree = self.checker.in_list(left, list)?;
        operands.push(operand(Meaning::Predicate(tree), start, end));
        self.count()
    }
}

/// Negates the predicate that was read last.
pub(crate) fn negate_last(operands: &mut [Operand]) {
    if let Some(Operand { meaning: Meaning::Predicate(tree), .. }) = operands.last_mut() {
        let all = std::mem::replace(tree, Tree::everything());
        *tree = all.negated();
    }
}
