//! The operands of the grammar: constants, lists, templates, fields with their paths, and calls.

use crate::TemplateValue;
use crate::call::Function;
use crate::check::unsupported;
use crate::lexer::compact;
use crate::limits::{LIST_ITEMS_MAX, NESTING_MAX};
use crate::operand::{Literal, Meaning, Operand, Step};
use crate::parse::{Parser, operand};
use crate::token::{Symbol, Token};

impl Parser<'_> {
    /// A constant, a list, a template, a field with its path, or a call.
    pub(crate) fn primary(&mut self) -> Result<Operand, String> {
        let next = self.lexer.next()?;
        let (start, mut end) = (next.start, next.end);
        let literal = match next.token {
            Token::Int(v) => Literal::Int(int(v)?),
            Token::Float(v) => Literal::Float(v),
            Token::Bool(v) => Literal::Bool(v),
            Token::Text(v) => Literal::Text(v.into_owned()),
            Token::Symbol(Symbol::OpenList) => {
                let items;
                (items, end) = self.list()?;
                Literal::List(items)
            }
            Token::Symbol(Symbol::OpenBrace) => return self.template(start),
            Token::Name(name) => return self.named(name, start, end),
            _ => return Err(self.mismatched(&next, "an operand")),
        };
        Ok(operand(Meaning::Literal(literal), start, end))
    }

    /// The items of a list whose bracket is open, and where it ends.
    fn list(&mut self) -> Result<(Vec<Literal>, usize), String> {
        self.nest()?;
        let mut items = Vec::new();
        let end = loop {
            if let Some(end) = self.lexer.take(Symbol::CloseList)? {
                break end;
            }
            let literal = self.item()?;
            items.push(literal);
            self.items += 1;
            if self.items > LIST_ITEMS_MAX {
                return Err(format!("expression has more than {LIST_ITEMS_MAX} list items"));
            }
            if self.lexer.take(Symbol::Comma)?.is_none() {
                let next = self.lexer.next()?;
                if next.token == Token::Symbol(Symbol::CloseList) {
                    break next.end;
                }
                return Err(self.mismatched(&next, "{',', ']'}"));
            }
        };
        self.nesting -= 1;
        Ok((items, end))
    }

    /// One item. A plain constant, which lists have by the million, is taken as it stands.
    fn item(&mut self) -> Result<Literal, String> {
        let signed = matches!(self.lexer.symbol()?, Some(symbol) if symbol != Symbol::OpenList);
        let item = if signed {
            self.expression()?
        } else {
            let first = self.primary()?;
            match (self.lexer.symbol()?, first.meaning) {
                (Some(Symbol::Comma | Symbol::CloseList), Meaning::Literal(literal)) => {
                    return Ok(literal);
                }
                (_, meaning) => self.expression_after(operand(meaning, first.start, first.end))?,
            }
        };
        match item.meaning {
            Meaning::Literal(literal) => Ok(literal),
            _ => {
                let piece = compact(self.checker.text, item.start, item.end);
                Err(format!("a list takes constants only, but got: {piece}"))
            }
        }
    }

    /// `{name}`, whose brace is open.
    pub(crate) fn template(&mut self, start: usize) -> Result<Operand, String> {
        let name = self.lexer.next()?;
        let Token::Name(key) = name.token else {
            return Err(self.mismatched(&name, "Identifier"));
        };
        let close = self.lexer.next()?;
        if close.token != Token::Symbol(Symbol::CloseBrace) {
            return Err(self.mismatched(&close, "'}'"));
        }
        let Some((_, value)) = self.templates.iter().find(|(known, _)| known == key) else {
            return Err(format!(
                "the value of expression template variable name {{{key}}} is not found"
            ));
        };
        let literal = self.template_literal(value, 0)?;
        Ok(operand(Meaning::Literal(literal), start, close.end))
    }

    fn template_literal(&mut self, value: &TemplateValue, depth: usize) -> Result<Literal, String> {
        if depth > NESTING_MAX {
            return Err(format!("template value is nested deeper than {NESTING_MAX} levels"));
        }
        Ok(match value {
            TemplateValue::Bool(v) => Literal::Bool(*v),
            TemplateValue::Int(v) => Literal::Int(*v),
            TemplateValue::Float(v) if v.is_finite() => Literal::Float(*v),
            TemplateValue::Float(v) => return Err(format!("template value {v} is not finite")),
            TemplateValue::Text(v) => Literal::Text(v.clone()),
            TemplateValue::List(items) => {
                self.items += items.len();
                if self.items > LIST_ITEMS_MAX {
                    return Err(format!("expression has more than {LIST_ITEMS_MAX} list items"));
                }
                let items = items.iter().map(|item| self.template_literal(item, depth + 1));
                Literal::List(items.collect::<Result<_, _>>()?)
            }
        })
    }

    /// A name: of a function when a parenthesis follows, else of a field with its path.
    fn named(&mut self, name: &str, start: usize, mut end: usize) -> Result<Operand, String> {
        if self.lexer.symbol()? == Some(Symbol::Open) {
            let function = Function::named(name)?;
            self.lexer.next()?;
            let (arguments, end) = self.arguments(function)?;
            let meaning = self.checker.call(function, arguments, name)?;
            return Ok(operand(meaning, start, end));
        }
        let timed = name.eq_ignore_ascii_case("interval") || name.eq_ignore_ascii_case("iso");
        if timed && matches!(self.lexer.peek()?.token, Token::Text(_)) {
            return Err(unsupported("time literal", name));
        }
        let mut steps = Vec::new();
        while self.lexer.take(Symbol::OpenList)?.is_some() {
            let step = self.lexer.next()?;
            match step.token {
                Token::Text(key) if key.is_empty() => {
                    return Err(format!("invalid identifier: {name}[\"\"]"));
                }
                Token::Text(key) => steps.push(Step::Key(key.into_owned())),
                Token::Int(index) => steps.push(Step::Index(index)),
                Token::Name(key) => {
                    return Err(format!(
                        "json key must be enclosed in double quotes or single quotes: \"{key}\", \
                         and struct field access is not supported in filters"
                    ));
                }
                _ => return Err(self.mismatched(&step, "{StringLiteral, DecimalConstant}")),
            }
            let close = self.lexer.next()?;
            if close.token != Token::Symbol(Symbol::CloseList) {
                return Err(self.mismatched(&close, "']'"));
            }
            end = close.end;
        }
        let column = self.checker.column(name, steps)?;
        Ok(operand(Meaning::Column(column), start, end))
    }

    fn arguments(&mut self, function: Function) -> Result<(Vec<Operand>, usize), String> {
        self.nest()?;
        let mut arguments = Vec::new();
        loop {
            if function == Function::TextMatch && arguments.len() == 2 {
                let next = self.lexer.next()?;
                if next.token != Token::Name("minimum_should_match") || !self.lexer.assign() {
                    return Err(self.mismatched(&next, "minimum_should_match="));
                }
            }
            arguments.push(self.expression()?);
            let next = self.lexer.next()?;
            match next.token {
                Token::Symbol(Symbol::Comma) if arguments.len() < ARGUMENTS_MAX => {}
                Token::Symbol(Symbol::Close) => {
                    self.nesting -= 1;
                    return Ok((arguments, next.end));
                }
                _ => return Err(self.mismatched(&next, "{',', ')'}")),
            }
        }
    }
}

/// Most arguments of any function, one more than a known one takes.
const ARGUMENTS_MAX: usize = 4;

fn int(v: u64) -> Result<i64, String> {
    i64::try_from(v).map_err(|_| format!("parsing \"{v}\": value out of range"))
}
