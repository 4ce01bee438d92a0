//! The simplest code that can be right: a list of rows, and filters as trees.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::server::{Answers, Seen};

/// Tenants are from 0 up to this.
pub(crate) const TENANTS: i64 = 40;
/// Keys are from 0 up to this.
pub(crate) const KEYS: i64 = 60;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) pk: i64,
    pub(crate) tenant: i64,
    pub(crate) value: i64,
    pub(crate) note: Option<i64>,
}

impl Row {
    /// Follows from what an update does not change, so that it need not be written again.
    pub(crate) fn vector(&self) -> [f32; 2] {
        [self.value as f32, (self.value % 3) as f32]
    }
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Insert,
    Upsert,
    /// A partial update of the note: the tenant is not given.
    Note,
    /// A partial update of the tenant.
    Move,
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Write(Write, Vec<Row>),
    DeleteKeys(Vec<i64>),
    DeleteMatching(Filter, bool),
}

/// A filter, as text and as a tree.
#[derive(Clone, Debug)]
pub(crate) enum Filter {
    Tenant(i64),
    TenantIn(Vec<i64>),
    ValueAbove(i64),
    KeyIn(Vec<i64>),
    Not(Box<Filter>),
    And(Vec<Filter>),
    Or(Vec<Filter>),
}

pub(crate) fn tenant_name(tenant: i64) -> String {
    format!("tenant-{tenant}")
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let row = (0..KEYS, 0..TENANTS, 0i64..100).prop_map(|(pk, tenant, value)| Row {
        pk,
        tenant,
        value,
        note: Some(value),
    });
    let rows = prop::collection::vec(row, 1..40).prop_map(|mut rows| {
        rows.sort_by_key(|row| row.pk);
        rows.dedup_by_key(|row| row.pk);
        rows
    });
    let write = prop_oneof![
        3 => Just(Write::Insert),
        3 => Just(Write::Upsert),
        2 => Just(Write::Note),
        2 => Just(Write::Move),
    ];
    prop_oneof![
        8 => (write, rows).prop_map(|(write, rows)| Op::Write(write, rows)),
        1 => prop::collection::vec(0..KEYS, 1..8).prop_map(Op::DeleteKeys),
        1 => (filter(), any::<bool>()).prop_map(|(f, prune)| Op::DeleteMatching(f, prune)),
    ]
}

pub(crate) fn filter() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![
        4 => (0..TENANTS).prop_map(Filter::Tenant),
        3 => prop::collection::vec(0..TENANTS, 0..5).prop_map(Filter::TenantIn),
        2 => (0i64..100).prop_map(Filter::ValueAbove),
        1 => prop::collection::vec(0..KEYS, 1..9).prop_map(Filter::KeyIn),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let some = || prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            3 => some().prop_map(Filter::And),
            3 => some().prop_map(Filter::Or),
            1 => inner.clone().prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

impl Filter {
    pub(crate) fn spell(&self, text: bool) -> String {
        let tenant = |tenant: &i64| match text {
            true => format!("'{}'", tenant_name(*tenant)),
            false => tenant.to_string(),
        };
        let joined = |filters: &[Filter], word: &str| {
            let texts: Vec<String> = filters.iter().map(|f| f.spell(text)).collect();
            format!("({})", texts.join(word))
        };
        match self {
            Filter::Tenant(t) => format!("tenant == {}", tenant(t)),
            Filter::TenantIn(all) => {
                let all: Vec<String> = all.iter().map(tenant).collect();
                format!("tenant in [{}]", all.join(", "))
            }
            Filter::ValueAbove(v) => format!("value > {v}"),
            Filter::KeyIn(keys) => format!("pk in {keys:?}"),
            Filter::Not(filter) => format!("not ({})", filter.spell(text)),
            Filter::And(filters) => joined(filters, " and "),
            Filter::Or(filters) => joined(filters, " or "),
        }
    }

    fn keeps(&self, row: &Row) -> bool {
        match self {
            Filter::Tenant(tenant) => row.tenant == *tenant,
            Filter::TenantIn(tenants) => tenants.contains(&row.tenant),
            Filter::ValueAbove(value) => row.value > *value,
            Filter::KeyIn(keys) => keys.contains(&row.pk),
            Filter::Not(filter) => !filter.keeps(row),
            Filter::And(filters) => filters.iter().all(|f| f.keeps(row)),
            Filter::Or(filters) => filters.iter().any(|f| f.keeps(row)),
        }
    }
}

/// Live rows, oldest first.
#[derive(Default)]
pub(crate) struct Model(pub(crate) Vec<Row>);

impl Model {
    /// The rows that a write brings: updates only of rows that are there.
    pub(crate) fn complete(&self, kind: Write, rows: &[Row]) -> Vec<Row> {
        let newest = |pk: i64| self.0.iter().rfind(|row| row.pk == pk).cloned();
        let made = |row: &Row| match kind {
            Write::Insert | Write::Upsert => Some(Row { note: None, ..row.clone() }),
            Write::Note => newest(row.pk).map(|old| Row { note: row.note, ..old }),
            Write::Move => newest(row.pk).map(|old| Row { tenant: row.tenant, ..old }),
        };
        rows.iter().filter_map(made).collect()
    }

    pub(crate) fn write(&mut self, kind: Write, rows: &[Row]) {
        if kind != Write::Insert {
            self.0.retain(|there| !rows.iter().any(|row| row.pk == there.pk));
        }
        self.0.extend_from_slice(rows);
    }

    pub(crate) fn delete(&mut self, which: impl Fn(&Row) -> bool) -> u64 {
        let before = self.0.len();
        self.0.retain(|row| !which(row));
        (before - self.0.len()) as u64
    }

    pub(crate) fn delete_matching(&mut self, filter: &Filter) -> u64 {
        self.delete(|row| filter.keeps(row))
    }

    pub(crate) fn answers(&self, filter: &Filter) -> Answers {
        let kept: Vec<&Row> = self.0.iter().filter(|row| filter.keeps(row)).collect();
        // A key is answered once, with its newest row.
        let newest: BTreeMap<i64, &Row> = kept.iter().map(|row| (row.pk, *row)).collect();
        let seen = |row: &&Row| -> Seen { (row.pk, tenant_name(row.tenant), row.value, row.note) };
        let score = |row: &Row| row.vector().iter().map(|x| x * x).sum::<f32>();
        let mut hits: Vec<(i64, f32)> = newest.values().map(|row| (row.pk, score(row))).collect();
        hits.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        hits.truncate(5);
        Answers {
            rows: newest.values().map(seen).collect(),
            count: kept.len() as u64,
            hits,
            sum: kept.iter().map(|row| row.value).sum(),
        }
    }
}
