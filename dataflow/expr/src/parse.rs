//! The grammar: operator precedence with explicit stacks. Only lists and calls recurse, and every
//! kind of nesting is counted before it is entered.

use millstream_catalog::model::{CollectionSchema, Fault};

use crate::TemplateValue;
use crate::arith;
use crate::binding::{Power, arithmetic, power, relation};
use crate::check::Checker;
use crate::lexer::{Lexer, Spanned, compact};
use crate::limits::{LIST_ITEMS_MAX, NESTING_MAX, PIECES_MAX};
use crate::operand::{Literal, Meaning, Operand, Relation};
use crate::plan::{Body, Node, Plan, Sample};
use crate::postfix::negate_last;
use crate::token::{Symbol, Token, clip};

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
    /// Predicates and operators read so far that are part of no list.
    pieces: usize,
}

/// The plan of a whole text.
pub(crate) fn plan(
    text: &str,
    schema: &CollectionSchema,
    templates: &[(String, TemplateValue)],
    seed: u64,
) -> Result<Plan, Fault> {
    if text.trim().is_empty() {
        let nodes = vec![Node::True];
        let body = Body { fields: Vec::new(), nodes, by_pk: false, sample: None };
        return Ok(Plan::new(body));
    }
    let refuse = |reason: String| {
        Fault::invalid(format!("cannot parse expression: {}, error: {reason}", clip(text)))
    };
    let lexer = Lexer::new(text).map_err(refuse)?;
    let checker = Checker::new(text, schema);
    let mut parser = Parser { lexer, checker, templates, nesting: 0, items: 0, pieces: 0 };
    let meaning = parser.whole().map_err(refuse)?;
    let (fields, pk) = parser.checker.finish();
    match meaning {
        Meaning::Predicate(tree) => Ok(Plan::new(tree.into_body(fields, pk, None))),
        Meaning::Sample(tree, factor) => {
            let sample = Sample { seed, below: (factor * TWO_64) as u64 };
            Ok(Plan::new(tree.into_body(fields, pk, Some(sample))))
        }
        other => {
            let name = crate::check::type_name(&other);
            let text = clip(text);
            let reason =
                format!("predicate is not a boolean expression: {text}, data type: {name}");
            Err(Fault::invalid(reason))
        }
    }
}

/// 2^64.
const TWO_64: f64 = (1u128 << 64) as f64;

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
                    let not = self.lexer.take(Symbol::Not)?.is_some();
                    if not && self.lexer.symbol()? == Some(Symbol::Like) {
                        self.reduce(waiting, operands, Some(Power::Postfix))?;
                        self.like(operands)?;
                        negate_last(operands);
                        continue;
                    }
                    self.reduce(waiting, operands, Some(Power::In))?;
                    self.in_list(operands)?;
                    if not {
                        negate_last(operands);
                    }
                }
                Some(symbol @ (Symbol::Matches | Symbol::NotMatches)) => {
                    self.reduce(waiting, operands, Some(Power::Postfix))?;
                    self.regex(operands)?;
                    if symbol == Symbol::NotMatches {
                        negate_last(operands);
                    }
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
            Symbol::Plus => arith::affirm(inner.meaning)?,
            Symbol::Exists => Meaning::Predicate(self.checker.exists(inner)?),
            Symbol::Not => match inner.meaning {
                Meaning::Predicate(tree) => Meaning::Predicate(tree.negated()),
                Meaning::Sample(..) => {
                    return Err(
                        "random sample expression cannot be used in unary expression".into()
                    );
                }
                _ => return Err("not op can only be applied on boolean expression".into()),
            },
            _ => arith::complement(inner.meaning)?,
        };
        Ok(operand(meaning, start, end))
    }

    /// Counts one more predicate or operator.
    pub(crate) fn count(&mut self) -> Result<(), String> {
        self.pieces += 1;
        if self.pieces > PIECES_MAX {
            return Err(format!("expression has more than {PIECES_MAX} predicates and operators"));
        }
        Ok(())
    }

    fn binary(&mut self, symbol: Symbol, left: Operand, right: Operand) -> Result<Operand, String> {
        let (start, end) = (left.start, right.end);
        let folds = matches!(left.meaning, Meaning::Literal(_))
            && matches!(right.meaning, Meaning::Literal(_));
        if !folds {
            self.count()?;
        }
        if let Some(relation) = relation(symbol) {
            return self.relate(relation, left, right);
        }
        let text = self.checker.text;
        let meaning = match symbol {
            Symbol::And | Symbol::Or => self.connect(symbol, left.meaning, right.meaning)?,
            other => {
                let op = arithmetic(other).ok_or("an operator has no meaning between values")?;
                arith::apply(op, left, right, text)?
            }
        };
        Ok(operand(meaning, start, end))
    }

    /// `left and right`, `left or right`.
    fn connect(
        &mut self,
        symbol: Symbol,
        left: Meaning,
        right: Meaning,
    ) -> Result<Meaning, String> {
        let and = symbol == Symbol::And;
        let (meaning, merged) = match (left, right) {
            (Meaning::Predicate(a), Meaning::Predicate(b)) => {
                let (tree, merged) = if and { a.and(b) } else { a.or(b) };
                (Meaning::Predicate(tree), merged)
            }
            (Meaning::Sample(..), _) if and => {
                return Err("random sample expression can only be the last expression in the \
                            logical and expression"
                    .into());
            }
            (Meaning::Predicate(a), Meaning::Sample(_, factor)) if and => {
                (Meaning::Sample(a, factor), false)
            }
            (Meaning::Sample(..), _) | (_, Meaning::Sample(..)) if !and => {
                return Err(
                    "random sample expression cannot be used in logical or expression".into()
                );
            }
            _ => {
                let word = if and { "and" } else { "or" };
                return Err(format!("'{word}' can only be used between boolean expressions"));
            }
        };
        if merged {
            // The comparison and the connective are one more item of a list now.
            self.pieces = self.pieces.saturating_sub(2);
            self.item_counted()?;
        }
        Ok(meaning)
    }

    /// Counts one more list item.
    pub(crate) fn item_counted(&mut self) -> Result<(), String> {
        self.items += 1;
        if self.items > LIST_ITEMS_MAX {
            return Err(format!("expression has more than {LIST_ITEMS_MAX} list items"));
        }
        Ok(())
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
                    return Ok(operand(Meaning::Predicate(a.and(b).0), start, end));
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
}

pub(crate) fn operand(meaning: Meaning, start: usize, end: usize) -> Operand {
    Operand { meaning, start, end, range: None }
}
