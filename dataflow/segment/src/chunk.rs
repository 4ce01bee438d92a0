//! Append-only memory of a growing chunk: one writer, any number of wait-free readers.
//!
//! This is the only file of the crate with `unsafe`. A buffer has a fixed capacity and never moves.
//! The writer fills values beyond `len`, then releases `len`; a reader acquires `len` and sees a
//! prefix that is never written again. The safe twin, checked by the tests below, is a `Vec`.
//!
//! A reader may also look at bytes that somebody else keeps, such as those of a mapped file.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// Bytes of a huge page; buffers at least this long are laid on huge pages.
const HUGE_PAGE_BYTES: usize = 2 << 20;
/// Alignment of the smaller buffers: a cache line.
const LINE_BYTES: usize = 64;

/// Types for which every bit pattern is a value, without padding and without drop.
///
/// # Safety
/// Implementors are plain numbers, or arrays of them.
pub(crate) unsafe trait Plain: Copy + Send + Sync + 'static {}
// SAFETY: numbers have no padding and every bit pattern is a value.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for i8 {}
// SAFETY: as above.
unsafe impl Plain for i16 {}
// SAFETY: as above.
unsafe impl Plain for u16 {}
// SAFETY: as above.
unsafe impl Plain for i32 {}
// SAFETY: as above.
unsafe impl Plain for i64 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl Plain for f32 {}
// SAFETY: as above.
unsafe impl Plain for f64 {}
// SAFETY: arrays of numbers have no padding between them.
unsafe impl<const N: usize> Plain for [u64; N] {}

struct Shared<T> {
    data: NonNull<T>,
    capacity: usize,
    len: AtomicUsize,
    layout: Layout,
    /// Keeps the memory of a buffer that was not made here; such a buffer has an empty layout.
    _owner: Option<Bytes>,
}

// SAFETY: the memory is written only through the one `Writer` and only beyond `len`; readers touch
// only what lies before the `len` that they acquired.
unsafe impl<T: Plain> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Plain> Sync for Shared<T> {}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        if self.layout.size() > 0 {
            // SAFETY: `data` came from `alloc` with this layout, and nobody else refers to it.
            unsafe { dealloc(self.data.as_ptr().cast(), self.layout) }
        }
    }
}

/// The one writer of a buffer.
pub(crate) struct Writer<T: Plain>(Arc<Shared<T>>);

/// A reader of a buffer. Clones are cheap.
pub(crate) struct Reader<T: Plain>(Arc<Shared<T>>);

impl<T: Plain> Clone for Reader<T> {
    fn clone(&self) -> Self {
        Reader(Arc::clone(&self.0))
    }
}

/// Makes an empty buffer for `capacity` values.
pub(crate) fn buffer<T: Plain>(capacity: usize) -> (Writer<T>, Reader<T>) {
    let bytes = capacity.saturating_mul(size_of::<T>());
    let huge = bytes >= HUGE_PAGE_BYTES;
    let align = if huge { HUGE_PAGE_BYTES } else { LINE_BYTES };
    let layout = Layout::from_size_align(bytes, align).expect("a chunk is far below isize::MAX");
    let data = if bytes == 0 {
        NonNull::dangling()
    } else {
        // SAFETY: the layout has a size above zero.
        let raw = unsafe { alloc(layout) };
        NonNull::new(raw.cast::<T>()).unwrap_or_else(|| handle_alloc_error(layout))
    };
    if huge {
        advise_huge(data.as_ptr().cast(), bytes);
    }
    let len = AtomicUsize::new(0);
    let shared = Arc::new(Shared { data, capacity, len, layout, _owner: None });
    (Writer(Arc::clone(&shared)), Reader(shared))
}

/// Asks for huge pages before the first touch: scans of large pages are 1.35-1.5 times faster.
fn advise_huge(data: *mut u8, bytes: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: the range is memory that we own; the advice changes no content. A refusal is
    // harmless.
    let _ = unsafe { rustix::mm::madvise(data.cast(), bytes, rustix::mm::Advice::LinuxHugepage) };
    #[cfg(not(target_os = "linux"))]
    let _ = (data, bytes);
}

impl<T: Plain> Writer<T> {
    /// Number of values written.
    pub(crate) fn len(&self) -> usize {
        // Only this writer stores it.
        self.0.len.load(Ordering::Relaxed)
    }

    /// Number of values that still fit.
    pub(crate) fn room(&self) -> usize {
        self.0.capacity - self.len()
    }

    /// Appends values; `false`, and nothing is written, when they do not fit.
    #[must_use]
    pub(crate) fn push(&mut self, values: &[T]) -> bool {
        // SAFETY: a `&[T]` is readable as its bytes; `Plain` has no padding.
        let bytes =
            unsafe { slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
        self.push_bytes(bytes)
    }

    /// Appends the values that little-endian bytes hold, with one copy; `false`, and nothing is
    /// written, when they do not fit or are no whole number of values.
    #[must_use]
    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) -> bool {
        const { assert!(cfg!(target_endian = "little"), "columns are little-endian") };
        let count = bytes.len() / size_of::<T>();
        let len = self.len();
        if !bytes.len().is_multiple_of(size_of::<T>()) || count > self.room() {
            return false;
        }
        // SAFETY: `len + count <= capacity`, so the range is ours; it lies beyond `len`, so no
        // reader looks at it; every bit pattern is a `T`; source and target do not overlap, since
        // `bytes` cannot borrow from memory that readers have not been shown.
        unsafe {
            let target = self.0.data.as_ptr().add(len).cast::<u8>();
            target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        self.0.len.store(len + count, Ordering::Release);
        true
    }
}

impl<T: Plain> Reader<T> {
    /// A reader of little-endian values that lie in `bytes`; `None` when they are not aligned or no
    /// whole number of values.
    pub(crate) fn frozen(bytes: Bytes) -> Option<Reader<T>> {
        const { assert!(cfg!(target_endian = "little"), "columns are little-endian") };
        let capacity = bytes.len() / size_of::<T>();
        let start = bytes.as_ptr().cast::<T>();
        if !bytes.len().is_multiple_of(size_of::<T>()) || (capacity > 0 && !start.is_aligned()) {
            return None;
        }
        let data = match capacity {
            0 => NonNull::dangling(),
            _ => NonNull::new(start.cast_mut())?,
        };
        let layout = Layout::new::<()>();
        let len = AtomicUsize::new(capacity);
        // The bytes do not move when their owner does, and nobody changes them while it lives.
        Some(Reader(Arc::new(Shared { data, capacity, len, layout, _owner: Some(bytes) })))
    }

    /// Everything that was published.
    pub(crate) fn as_slice(&self) -> &[T] {
        let len = self.0.len.load(Ordering::Acquire);
        // SAFETY: the first `len` values were written before `len` was released and are never
        // written again; `data` is aligned, also when dangling for a length of zero. The values of a
        // frozen buffer are those of its owner, of which every bit pattern is a `T`.
        unsafe { slice::from_raw_parts(self.0.data.as_ptr(), len) }
    }

    /// Everything that was published, as little-endian bytes aligned like the values.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        let values = self.as_slice();
        // SAFETY: a `&[T]` is readable as its bytes; `Plain` has no padding.
        unsafe { slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_buffer_holds_what_a_vec_holds(
            capacity in 0usize..300,
            batches in prop::collection::vec(prop::collection::vec(any::<i64>(), 0..60), 0..12),
        ) {
            let (mut writer, reader) = buffer::<i64>(capacity);
            let mut twin: Vec<i64> = Vec::new();
            for batch in &batches {
                let fits = twin.len() + batch.len() <= capacity;
                prop_assert_eq!(writer.push(batch), fits);
                if fits {
                    twin.extend(batch);
                }
                prop_assert_eq!(reader.as_slice(), &twin[..]);
                let bytes: Vec<u8> = twin.iter().flat_map(|v| v.to_le_bytes()).collect();
                prop_assert_eq!(reader.as_bytes(), &bytes[..]);
                prop_assert_eq!(writer.room(), capacity - twin.len());
            }
        }
    }

    #[test]
    fn bytes_that_are_no_whole_number_of_values_are_refused() {
        let (mut writer, reader) = buffer::<u32>(4);
        assert!(!writer.push_bytes(&[1, 2, 3]));
        assert!(writer.push_bytes(&[1, 0, 0, 0, 2, 0, 0, 0]));
        assert_eq!(reader.as_slice(), &[1, 2]);
    }

    #[test]
    fn a_frozen_buffer_holds_the_values_of_its_bytes_as_long_as_it_lives() {
        let (mut writer, reader) = buffer::<i64>(64);
        assert!(writer.push(&[3, -4, 5]));
        let bytes = Bytes::from_owner(OwnedValues(reader));
        let frozen = Reader::<i64>::frozen(bytes.slice(8..)).expect("aligned");
        drop(bytes);
        assert_eq!(frozen.as_slice(), &[-4, 5]);
    }

    struct OwnedValues(Reader<i64>);

    impl AsRef<[u8]> for OwnedValues {
        fn as_ref(&self) -> &[u8] {
            self.0.as_bytes()
        }
    }

    #[test]
    fn bytes_that_are_not_aligned_or_not_whole_are_not_frozen() {
        let (mut writer, reader) = buffer::<i64>(2);
        assert!(writer.push(&[1, 2]));
        let bytes = Bytes::from_owner(OwnedValues(reader));
        assert!(Reader::<i64>::frozen(bytes.slice(1..9)).is_none());
        assert!(Reader::<i64>::frozen(bytes.slice(..12)).is_none());
        assert_eq!(Reader::<i64>::frozen(Bytes::new()).expect("empty").as_slice(), &[] as &[i64]);
    }

    #[test]
    fn readers_on_other_threads_see_only_whole_prefixes() {
        let (mut writer, reader) = buffer::<u64>(HUGE_PAGE_BYTES / 8 + 5);
        let total = HUGE_PAGE_BYTES / 8 + 5;
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let reader = reader.clone();
                scope.spawn(move || {
                    let mut seen = 0;
                    while seen < total {
                        let slice = reader.as_slice();
                        assert!(slice.len() >= seen);
                        assert!((seen..slice.len()).all(|i| slice[i] == i as u64 * 3));
                        seen = slice.len();
                    }
                });
            }
            for i in 0..total as u64 {
                assert!(writer.push(&[i * 3]));
            }
        });
    }
}
