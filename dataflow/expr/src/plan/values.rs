//! Which values a field can have in the rows that a plan keeps.

use millstream_catalog::model::FieldId;

use super::{Compare, Node, PkList, Place, Plan, Pred, Slot};

/// Integer ranges of at most this many values are read as lists.
const RANGE_MAX: u64 = 1_024;

/// One value, as the plan has it.
#[derive(Clone, Copy)]
enum Value<'p> {
    Int(i64),
    Text(&'p str),
}

impl Plan {
    /// Values of an Int64 or VarChar field of which every row that the plan keeps has one; in no
    /// order, some perhaps twice. `None` when the plan does not say: it names the field nowhere, or
    /// in a form from which no list of values follows.
    pub fn values_of(&self, field: FieldId) -> Option<PkList> {
        let slot = self.body.fields.iter().position(|f| *f == field)?;
        let slot = Slot::try_from(slot).ok()?;
        let mut known: Vec<Option<Vec<Value<'_>>>> = Vec::with_capacity(self.body.nodes.len());
        for node in &self.body.nodes {
            let values = match node {
                Node::True => None,
                Node::Leaf { not: true, .. } => None,
                Node::Leaf { not: false, pred } => listed(pred, slot),
                Node::All(children) => shortest(&mut known, children),
                Node::Any(children) => together(&mut known, children),
            };
            known.push(values);
        }
        let values = known.pop().flatten()?;
        let int = |value: &Value<'_>| match value {
            Value::Int(value) => Some(*value),
            Value::Text(_) => None,
        };
        if values.iter().all(|value| int(value).is_some()) {
            return Some(PkList::Int(values.iter().filter_map(int).collect()));
        }
        let text = |value: Value<'_>| match value {
            Value::Int(_) => None,
            Value::Text(text) => Some(text.to_owned()),
        };
        values.into_iter().map(text).collect::<Option<_>>().map(PkList::Text)
    }
}

/// The values that a predicate lists for a field.
fn listed(pred: &Pred, slot: Slot) -> Option<Vec<Value<'_>>> {
    let of = Place { slot, index: None };
    match pred {
        Pred::Ints { place, lo, hi } if *place == of => match lo <= hi {
            true if lo.abs_diff(*hi) < RANGE_MAX => Some((*lo..=*hi).map(Value::Int).collect()),
            true => None,
            false => Some(Vec::new()),
        },
        Pred::IntIn { place, values } if *place == of => {
            Some(values.iter().copied().map(Value::Int).collect())
        }
        Pred::Text { place, op: Compare::Equal, value } if *place == of => {
            Some(vec![Value::Text(value)])
        }
        Pred::TextIn { place, values } if *place == of => {
            Some(values.iter().map(|value| Value::Text(value)).collect())
        }
        _ => None,
    }
}

/// A row that matches all children has a value of each list: the shortest one says most.
fn shortest<'p>(known: &mut [Option<Vec<Value<'p>>>], children: &[u32]) -> Option<Vec<Value<'p>>> {
    let length = |child: &&u32| known[**child as usize].as_ref().map(Vec::len);
    let best = children.iter().filter(|child| length(child).is_some()).min_by_key(length)?;
    known[*best as usize].take()
}

/// A row that matches some child has a value of its list: every child must have one.
fn together<'p>(known: &mut [Option<Vec<Value<'p>>>], children: &[u32]) -> Option<Vec<Value<'p>>> {
    let mut all = Vec::new();
    for child in children {
        let values = known[*child as usize].take()?;
        match all.is_empty() {
            true => all = values,
            false => all.extend(values),
        }
    }
    Some(all)
}
