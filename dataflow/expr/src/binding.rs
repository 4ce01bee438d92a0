//! Binary operators: how tightly they bind and what they mean.

use crate::operand::Relation;
use crate::plan::Arithmetic;
use crate::token::Symbol;

/// How tightly operators bind, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Power {
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

/// The binding of a binary operator.
pub(crate) fn power(symbol: Symbol) -> Option<Power> {
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

/// The comparison of a symbol.
pub(crate) fn relation(symbol: Symbol) -> Option<Relation> {
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

/// The arithmetic of a symbol.
pub(crate) fn arithmetic(symbol: Symbol) -> Option<Arithmetic> {
    Some(match symbol {
        Symbol::Plus => Arithmetic::Add,
        Symbol::Minus => Arithmetic::Subtract,
        Symbol::Times => Arithmetic::Multiply,
        Symbol::Divide => Arithmetic::Divide,
        Symbol::Modulo => Arithmetic::Modulo,
        Symbol::Power => Arithmetic::Power,
        Symbol::BitAnd => Arithmetic::BitAnd,
        Symbol::BitOr => Arithmetic::BitOr,
        Symbol::BitXor => Arithmetic::BitXor,
        Symbol::ShiftLeft => Arithmetic::ShiftLeft,
        Symbol::ShiftRight => Arithmetic::ShiftRight,
        _ => return None,
    })
}
