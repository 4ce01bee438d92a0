//! A sealed segment as one: its columns whole, and what was built beside its rows.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use millstream_catalog::model::FieldId;

use crate::column::{ColumnReader, ColumnSlice};

/// Something that was built for a field of a segment, such as an index.
pub type Beside = Arc<dyn Any + Send + Sync>;

/// What was built for the fields of some rows, beside them.
#[derive(Default)]
pub(crate) struct Besides(ArcSwap<Vec<(FieldId, Beside)>>);

impl Besides {
    pub(crate) fn get(&self, field: FieldId) -> Option<Beside> {
        let all = self.0.load();
        all.iter().find(|(of, _)| *of == field).map(|(_, built)| Arc::clone(built))
    }

    pub(crate) fn put(&self, field: FieldId, built: Option<Beside>) {
        self.0.rcu(|all| {
            let others = all.iter().filter(|(of, _)| *of != field).cloned();
            others.chain(built.clone().map(|built| (field, built))).collect::<Vec<_>>()
        });
    }
}

/// The rows of a sealed segment as one run. Reads go through the chunks that share its memory; what
/// needs all rows at once goes through this.
pub struct Whole {
    pub(crate) id: i64,
    pub(crate) first_row: u32,
    pub(crate) rows: usize,
    pub(crate) columns: Vec<ColumnReader>,
    pub(crate) beside: Besides,
    pub(crate) facts: OnceLock<Beside>,
}

impl Whole {
    /// The segment's id.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// Number of its first row in the partition.
    pub fn first_row(&self) -> u32 {
        self.first_row
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// All values of the column at `index` of the specs.
    ///
    /// # Panics
    /// When there is no such column.
    pub fn column(&self, index: usize) -> ColumnSlice<'_> {
        self.columns[index].slice(self.rows)
    }

    /// Which rows have a value in the column at `index`, as [`crate::Chunk::validity`].
    ///
    /// # Panics
    /// When there is no such column.
    pub fn validity(&self, index: usize) -> Option<&[u8]> {
        self.columns[index].validity(self.rows)
    }

    /// What is known of the rows and was stored with them, if it is of this type.
    pub fn facts<T: Any>(&self) -> Option<&T> {
        self.facts.get()?.downcast_ref()
    }

    /// Says what is known of the rows; only the first to say so is heard.
    pub fn set_facts(&self, facts: Beside) {
        let _ = self.facts.set(facts);
    }

    /// What was built for a field.
    pub fn beside(&self, field: FieldId) -> Option<Beside> {
        self.beside.get(field)
    }

    /// Puts something beside the rows, in the place of what was there for the field; `None` takes it
    /// away. Reads that began before keep what they have.
    pub fn put_beside(&self, field: FieldId, built: Option<Beside>) {
        self.beside.put(field, built);
    }
}
