//! Queries: a text as the terms that an index is asked for.

use hashbrown::HashTable;

use crate::analyzer::Analyzer;
use crate::block::hash_of;

/// The terms of a query text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Different terms, in the order of their first token.
    pub(crate) terms: Vec<QueryTerm>,
    /// Term and position of each token, in their order.
    pub(crate) tokens: Vec<(u32, u32)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueryTerm {
    pub(crate) name: Box<[u8]>,
    pub(crate) hash: u64,
    /// Tokens of the query that are this term.
    pub(crate) count: u32,
}

impl Query {
    /// The query that `text` is under `analyzer`, which is that of the indexed texts.
    pub fn new(analyzer: &Analyzer, text: &str) -> Query {
        let mut query = Query::default();
        let mut known: HashTable<u32> = HashTable::new();
        analyzer.analyze(text, &mut |token| {
            query.push(&mut known, token.text.as_bytes(), token.position);
        });
        query
    }

    fn push(&mut self, known: &mut HashTable<u32>, name: &[u8], position: u32) {
        let hash = hash_of(name);
        let terms = &mut self.terms;
        let same = |&term: &u32| *terms[term as usize].name == *name;
        let term = known.find(hash, same).copied().unwrap_or_else(|| {
            let term = terms.len() as u32;
            terms.push(QueryTerm { name: name.into(), hash, count: 0 });
            *known.insert_unique(hash, term, |&term| terms[term as usize].hash).get()
        });
        terms[term as usize].count += 1;
        self.tokens.push((term, position));
    }

    /// Number of different terms. A query without one matches nothing.
    pub fn len(&self) -> usize {
        self.terms.len()
    }

    /// Whether there is no term.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }
}
