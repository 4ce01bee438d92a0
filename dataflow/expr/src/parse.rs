//! The grammar: operator precedence with explicit stacks. Only lists and calls recurse, and every
//! kind of nesting is counted before it is entered.

use millstream_catalog::model::{CollectionSchema, Fault};

use crate::TemplateValue;
use crate::arith;
use crate::check::{Checker, unsupported};
use crate::lexer::{Lexer, Spanned, compact};
use crate::limits::NESTING_MAX;
use crate::operand::{Literal, Meaning, Operand, Relation};
use crate::plan::{Arithmetic, Body, Node, Plan};
use crate::token::{Symbol, Token, clip};

/// How tightly operators bind, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Power {
    Or,
    And,
    BitOr,
    BitXor,
    BitAnd,
    Equality,
    Relation,
    In,
    Shift,
    Sum,
    Product,
    Prefix,
    Exponent,
    Postfix,
}

/// An operator whose right side is still being read.
enum Waiting {
    Open { start: usize },
    Prefix { symbol: Symbol, start: usize },
    Binary { symbol: Symbol, power: Power },
}

pub(crate) struct Parser<'a> {
    pub(crate) lexer: Lexer<'a>,
    pub(crate) checker: Checker<'a>,
    pub(crate) templates: &'a [(String, TemplateValue)],
    /// How deep the place being read is nested.
    pub(crate) nesting: usize,
    /// List items read so far.
    pub(crate) items: usize,
}

/// The plan of a whole text.
pub(crate) fn plan(
    text: &str,
    schema: &CollectionSchema,
    templates: &[(String, TemplateValue)],
) -> Result<Plan, Fault> {
    if text.trim().is_empty() {
        let body = Body { fields: Vec::new(), nodes: vec![Node::True], by_pk: false };
        return Ok(Plan::new(body));
    }
    let refuse = |reason: String| {
        Fault::invalid(format!("cannot parse expression: {}, error: {reason}", clip(text)))
    };
    let lexer = Lexer::new(text).map_err(refuse)?;
    let checker = Checker::new(text, schema);
    let mut parser = Parser { lexer, checker, templates, nesting: 0, items: 0 };
    let meaning = parser.whole().map_err(refuse)?;
    let (fields, pk) = parser.checker.finish();
    match meaning {
        Meaning::Predicate(tree) => Ok(Plan::new(tree.into_body(fields, pk))),
        other => {
            let name = crate::check::type_name(&other);
            let text = clip(text);
            let reason =
                format!("predicate is not a boolean expression: {text}, data type: {name}");
            Err(Fault::invalid(reason))
        }
    }
}

impl<'a> Parser<'a> {
    fn whole(&mut self) -> Result<Meaning, String> {
        let operand = self.expression()?;
        let next = self.lexer.next()?;
        if next.token == Token::End {
            return Ok(operand.meaning);
        }
        Err(self.wrong("extraneous input", &next, "expecting <EOF>"))
    }

    fn wrong(&self, what: &str, spanned: &Spanned<'_>, expecting: &str) -> String {
        let spelt = self.lexer.spell(spanned);
        self.lexer.at(spanned.start, format!("{what} '{spelt}' {expecting}").trim_end())
    }

    pub(crate) fn mismatched(&self, spanned: &Spanned<'_>, expecting: &str) -> String {
        self.wrong("mismatched input", spanned, &format!("expecting {expecting}"))
    }

    pub(crate) fn nest(&mut self) -> Result<(), String> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(format!("expression is nested deeper than {NESTING_MAX} levels"));
        }
        Ok(())
    }

    /// One expression, up to a token that cannot continue it.
    pub(crate) fn expression(&mut self) -> Result<Operand, String> {
        let (mut waiting, mut operands) = (Vec::new(), Vec::new());
        self.operand(&mut waiting, &mut operands)?;
        self.rest(waiting, operands)
    }

    /// The rest of an expression behind its first operand.
    pub(crate) fn expression_after(&mut self, first: Operand) -> Result<Operand, String> {
        self.rest(Vec::new(), vec![first])
    }

    fn rest(
        &mut self,
        mut waiting: Vec<Waiting>,
        mut operands: Vec<Operand>,
    ) -> Result<Operand, String> {
        while self.operator(&mut waiting, &mut operands)? {
            self.operand(&mut waiting, &mut operands)?;
        }
        operands.pop().ok_or_else(|| "expression is empty".into())
    }

    /// Reads prefix operators, opening parentheses, and the operand behind them.
    fn operand(
        &mut self,
        waiting: &mut Vec<Waiting>,
        operands: &mut Vec<Operand>,
    ) -> Result<(), String> {
        loop {
            let (start, symbol) = (self.lexer.peek()?.start, self.lexer.symbol()?);
            match symbol {
                Some(Symbol::Open) => waiting.push(Waiting::Open { start }),
                Some(
                    symbol @ (Symbol::Minus
                    | Symbol::Plus
                    | Symbol::Not
                    | Symbol::BitNot
                    | Symbol::Exists),
                ) => waiting.push(Waiting::Prefix { symbol, start }),
                _ => {
                    let smallest = self.smallest(waiting)?;
                    operands.push(match smallest {
                        Some(operand) => operand,
                        None => self.primary()?,
                    });
                    return Ok(());
                }
            }
            self.nest()?;
            self.lexer.next()?;
        }
    }

    /// `-9223372036854775808`, whose digits alone are no Int64.
    fn smallest(&mut self, waiting: &mut Vec<Waiting>) -> Result<Option<Operand>, String> {
        let Some(Waiting::Prefix { symbol: Symbol::Minus, start }) = waiting.last() else {
            return Ok(None);
        };
        let (start, next) = (*start, self.lexer.peek()?);
        if next.token != Token::Int(1 << 63) {
            return Ok(None);
        }
        let end = self.lexer.next()?.end;
        waiting.pop();
        self.nesting -= 1;
        Ok(Some(operand(Meaning::Literal(Literal::Int(i64::MIN)), start, end)))
    }

    /// Reads what follows an operand. True when another operand must follow.
    fn operator(
        &mut self,
        waiting: &mut Vec<Waiting>,
        operands: &mut Vec<Operand>,
    ) -> Result<bool, String> {
        loop {
            let symbol = self.lexer.symbol()?;
            match symbol {
                Some(Symbol::Close) => {
                    self.reduce(waiting, operands, None)?;
                    let Some(Waiting::Open { start }) = waiting.pop() else { return Ok(false) };
                    self.nesting -= 1;
                    let end = self.lexer.next()?.end;
                    if let Some(inner) = operands.last_mut() {
                        (inner.start, inner.end, inner.range) = (start, end, None);
                    }
                }
                Some(Symbol::Like) => {
                    self.reduce(waiting, operands, Some(Power::Postfix))?;
                    self.like(operands)?;
                }
                Some(Symbol::Is) => {
                    self.reduce(waiting, operands, Some(Power::Postfix))?;
                    self.is_null(operands)?;
                }
                Some(Symbol::In | Symbol::Not) => {
                    self.reduce(waiting, operands, Some(Power::In))?;
                    self.in_list(operands)?;
                }
                Some(symbol @ (Symbol::Matches | Symbol::NotMatches)) => {
                    let name = if symbol == Symbol::Matches { "=~" } else { "!~" };
                    return Err(unsupported("operator", name));
                }
                _ => match symbol.and_then(|s| power(s).map(|power| (s, power))) {
                    Some((symbol, power)) => {
                        self.reduce(waiting, operands, Some(power))?;
                        self.lexer.next()?;
                        waiting.push(Waiting::Binary { symbol, power });
                        return Ok(true);
                    }
                    None => return self.finish(waiting, operands).map(|()| false),
                },
            }
        }
    }

    /// Ends an expression: no parenthesis may be open.
    fn finish(
        &mut self,
        waiting: &mut Vec<Waiting>,
        operands: &mut Vec<Operand>,
    ) -> Result<(), String> {
        self.reduce(waiting, operands, None)?;
        if waiting.is_empty() {
            return Ok(());
        }
        let next = self.lexer.next()?;
        Err(match next.token {
            Token::End => self.wrong("missing ')' at", &next, ""),
            _ => self.wrong("extraneous input", &next, "expecting ')'"),
        })
    }

    /// Applies the waiting operators that bind at least as tightly as the one that comes (all of
    /// them when none does), up to an open parenthesis.
    fn reduce(
        &mut self,
        waiting: &mut Vec<Waiting>,
        operands: &mut Vec<Operand>,
        incoming: Option<Power>,
    ) -> Result<(), String> {
        loop {
            let power = match waiting.last() {
                None | Some(Waiting::Open { .. }) => return Ok(()),
                Some(Waiting::Prefix { .. }) => Power::Prefix,
                Some(Waiting::Binary { power, .. }) => *power,
            };
            if incoming.is_some_and(|incoming| power < incoming) {
                return Ok(());
            }
            let result = match (waiting.pop(), operands.pop()) {
                (Some(Waiting::Prefix { symbol, start }), Some(inner)) => {
                    self.nesting -= 1;
                    self.prefix(symbol, start, inner)?
                }
                (Some(Waiting::Binary { symbol, .. }), Some(right)) => {
                    let left = operands.pop().ok_or("an operator lacks its left side")?;
                    self.binary(symbol, left, right)?
                }
                _ => return Err("an operator lacks its operand".into()),
            };
            operands.push(result);
        }
    }

    fn prefix(&self, symbol: Symbol, start: usize, inner: Operand) -> Result<Operand, String> {
        let end = inner.end;
        let meaning = match symbol {
            Symbol::Minus => arith::negate(inner.meaning)?,
            Symbol::Plus => match inner.meaning {
                number @ Meaning::Literal(Literal::Int(_) | Literal::Float(_)) => number,
                _ => return Err("unexpected op: +".into()),
            },
            Symbol::Exists => Meaning::Predicate(self.checker.exists(inner)?),
            Symbol::Not => match inner.meaning {
                Meaning::Predicate(tree) => Meaning::Predicate(tree.negated()),
                _ => return Err("not op can only be applied on boolean expression".into()),
            },
            _ => return Err("unexpected op: ~".into()),
        };
        Ok(operand(meaning, start, end))
    }

    fn binary(&self, symbol: Symbol, left: Operand, right: Operand) -> Result<Operand, String> {
        let (start, end) = (left.start, right.end);
        if let Some(relation) = relation(symbol) {
            return self.relate(relation, left, right);
        }
        let text = self.checker.text;
        let meaning = match symbol {
            Symbol::And | Symbol::Or => {
                let word = if symbol == Symbol::And { "and" } else { "or" };
                let (Meaning::Predicate(a), Meaning::Predicate(b)) = (left.meaning, right.meaning)
                else {
                    return Err(format!("'{word}' can only be used between boolean expressions"));
                };
                Meaning::Predicate(if symbol == Symbol::And { a.and(b) } else { a.or(b) })
            }
            Symbol::Plus => arith::apply(Arithmetic::Add, left, right, text)?,
            Symbol::Minus => arith::apply(Arithmetic::Subtract, left, right, text)?,
            Symbol::Times => arith::apply(Arithmetic::Multiply, left, right, text)?,
            Symbol::Divide => arith::apply(Arithmetic::Divide, left, right, text)?,
            Symbol::Modulo => arith::apply(Arithmetic::Modulo, left, right, text)?,
            Symbol::Power => arith::power(&left, &right, text)?,
            other => {
                let piece = compact(text, start, end);
                return Err(format!("{} is not supported: {piece}", bit_name(other)));
            }
        };
        Ok(operand(meaning, start, end))
    }

    /// A comparison, or the second half of a range `1 < x < 4`.
    fn relate(
        &self,
        relation: Relation,
        mut left: Operand,
        right: Operand,
    ) -> Result<Operand, String> {
        let (start, end) = (left.start, right.end);
        if let (Some(range), Meaning::Predicate(_)) = (left.range.take(), &left.meaning) {
            let (first, middle) = *range;
            if relation.continues(first) {
                let second = self.checker.compare(relation, middle, right)?;
                if let (Meaning::Predicate(a), Meaning::Predicate(b)) = (left.meaning, second) {
                    return Ok(operand(Meaning::Predicate(a.and(b)), start, end));
                }
                return Err(format!("invalid range: {}", compact(self.checker.text, start, end)));
            }
        }
        let middle = match right.meaning {
            Meaning::Column(_) if relation.continues(relation) => Some(right.clone()),
            _ => None,
        };
        let meaning = self.checker.compare(relation, left, right)?;
        let mut result = operand(meaning, start, end);
        result.range = middle.map(|middle| Box::new((relation, middle)));
        Ok(result)
    }

    fn like(&mut self, operands: &mut Vec<Operand>) -> Result<(), String> {
        self.lexer.next()?;
        let left = operands.pop().ok_or("'like' lacks its left side")?;
        let next = self.lexer.next()?;
        let pattern = match next.token {
            Token::Text(pattern) => pattern.into_owned(),
            Token::Symbol(Symbol::OpenBrace) => match self.template(next.start)?.meaning {
                Meaning::Literal(Literal::Text(pattern)) => pattern,
                _ => return Err(self.mismatched(&next, "StringLiteral")),
            },
            _ => return Err(self.mismatched(&next, "StringLiteral")),
        };
        let (start, end) = (left.start, next.end);
        let tree = self.checker.like(left, pattern)?;
        operands.push(operand(Meaning::Predicate(tree), start, end));
        Ok(())
    }

    fn is_null(&mut self, operands: &mut Vec<Operand>) -> Result<(), String> {
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
        Ok(())
    }

    fn in_list(&mut self, operands: &mut Vec<Operand>) -> Result<(), String> {
        let left = operands.pop().ok_or("'in' lacks its left side")?;
        let not = self.lexer.take(Symbol::Not)?.is_some();
        if self.lexer.take(Symbol::In)?.is_none() {
            return Err(format!("invalid expression: {}", clip(self.checker.text)));
        }
        let list = self.primary()?;
        let (start, end) = (left.start, list.end);
        let tree = self.checker.in_list(left, list)?;
        let tree = if not { tree.negated() } else { tree };
        operands.push(operand(Meaning::Predicate(tree), start, end));
        Ok(())
    }
}

pub(crate) fn operand(meaning: Meaning, start: usize, end: usize) -> Operand {
    Operand { meaning, start, end, range: None }
}

fn power(symbol: Symbol) -> Option<Power> {
    Some(match symbol {
        Symbol::Or => Power::Or,
        Symbol::And => Power::And,
        Symbol::BitOr => Power::BitOr,
        Symbol::BitXor => Power::BitXor,
        Symbol::BitAnd => Power::BitAnd,
        Symbol::Equal | Symbol::NotEqual => Power::Equality,
        Symbol::Less | Symbol::LessEqual | Symbol::Greater | Symbol::GreaterEqual => {
            Power::Relation
        }
        Symbol::ShiftLeft | Symbol::ShiftRight => Power::Shift,
        Symbol::Plus | Symbol::Minus => Power::Sum,
        Symbol::Times | Symbol::Divide | Symbol::Modulo => Power::Product,
        Symbol::Power => Power::Exponent,
        _ => return None,
    })
}

fn relation(symbol: Symbol) -> Option<Relation> {
    Some(match symbol {
        Symbol::Equal => Relation::Equal,
        Symbol::NotEqual => Relation::NotEqual,
        Symbol::Less => Relation::Less,
        Symbol::LessEqual => Relation::LessEqual,
        Symbol::Greater => Relation::Greater,
        Symbol::GreaterEqual => Relation::GreaterEqual,
        _ => return None,
    })
}

fn bit_name(symbol: Symbol) -> &'static str {
    match symbol {
        Symbol::BitAnd => "BitAnd",
        Symbol::BitOr => "BitOr",
        Symbol::BitXor => "BitXor",
        Symbol::ShiftLeft => "ShiftLeft",
        _ => "ShiftRight",
    }
}
