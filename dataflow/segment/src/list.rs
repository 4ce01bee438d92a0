//! An append-only list without a bound: buffers of doubling capacity behind one pointer.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::chunk::{Plain, Reader, Writer, buffer};

const FIRST_CAPACITY: usize = 64;
const CAPACITY_MAX: usize = 1 << 16;

/// The writer's end.
pub(crate) struct ListWriter<T: Plain> {
    last: Option<Writer<T>>,
    parts: Arc<ArcSwap<Vec<Reader<T>>>>,
}

/// The readers' end.
pub(crate) struct ListReader<T: Plain>(Arc<ArcSwap<Vec<Reader<T>>>>);

pub(crate) fn list<T: Plain>() -> (ListWriter<T>, ListReader<T>) {
    let parts = Arc::new(ArcSwap::from_pointee(Vec::new()));
    (ListWriter { last: None, parts: Arc::clone(&parts) }, ListReader(parts))
}

impl<T: Plain> ListWriter<T> {
    pub(crate) fn push(&mut self, value: T) {
        if let Some(last) = &mut self.last
            && last.push(&[value])
        {
            return;
        }
        let capacity =
            self.last.as_ref().map_or(FIRST_CAPACITY, |w| (w.len() * 2).min(CAPACITY_MAX));
        let (mut writer, reader) = buffer(capacity);
        let pushed = writer.push(&[value]);
        debug_assert!(pushed, "a new part has room");
        let mut parts = Vec::clone(&self.parts.load());
        parts.push(reader);
        self.parts.store(Arc::new(parts));
        self.last = Some(writer);
    }
}

impl<T: Plain> ListWriter<T> {
    /// Puts other values in the place of all. Who reads sees the ones or the others, as a whole.
    pub(crate) fn replace(&mut self, values: impl IntoIterator<Item = T>) {
        let (mut fresh, _) = list();
        values.into_iter().for_each(|value| fresh.push(value));
        self.parts.store(fresh.parts.load_full());
        self.last = fresh.last;
    }
}

impl<T: Plain> ListReader<T> {
    /// Calls `f` on every value, in order.
    pub(crate) fn for_each(&self, mut f: impl FnMut(T)) {
        for part in self.0.load().iter() {
            part.as_slice().iter().copied().for_each(&mut f);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.load().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_gives_back_what_was_pushed_in_order() {
        let (mut writer, reader) = list::<u32>();
        assert!(reader.is_empty());
        for i in 0..1000 {
            writer.push(i);
        }
        let mut seen = Vec::new();
        reader.for_each(|v| seen.push(v));
        assert_eq!(seen, (0..1000).collect::<Vec<_>>());
        writer.replace(7..9);
        writer.push(1);
        let mut seen = Vec::new();
        reader.for_each(|v| seen.push(v));
        assert_eq!(seen, [7, 8, 1]);
        writer.replace([]);
        assert!(reader.is_empty());
    }
}
