//! Files as bytes: mapped into memory without copying, or read into memory as a whole.
//!
//! One of three files with `unsafe`: mapping a file promises that it does not change. The safe twin
//! is [`Access::InMemory`], which reads the same bytes.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use memmap2::{Advice, Mmap};

/// Alignment of every buffer in a table file, and of the memory that files are read into.
pub const ALIGNMENT: usize = 64;

/// How the bytes of a file get into memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Mapped; the system reads pages, and some ahead, when they are touched, and takes them back
    /// when memory is short.
    #[default]
    Mapped,
    /// Mapped, without reading ahead: for graphs, which jump.
    MappedRandom,
    /// Read as a whole, and kept until dropped.
    InMemory,
}

/// The bytes of a file, which must not change as long as they are in use: files of the store are
/// written before they get their name and never again, and deleting one does not end its mapping.
/// A mapped file that somebody else shortens ends the process when the lost part is touched.
pub fn map_file(path: &Path, access: Access) -> io::Result<Bytes> {
    let file = File::open(path)?;
    if access == Access::InMemory {
        return read(file);
    }
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the mapping is read-only, and no code of ours writes to a file once it has the name
    // that it is opened under; the mapping lives as long as any slice of the returned bytes.
    let map = unsafe { Mmap::map(&file)? };
    if access == Access::MappedRandom {
        map.advise(Advice::Random)?;
    }
    Ok(Bytes::from_owner(map))
}

/// The whole file in memory that is aligned like a mapping is for our purposes.
fn read(mut file: File) -> io::Result<Bytes> {
    let length = usize::try_from(file.metadata()?.len())
        .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let (mut memory, start) = aligned_memory(length);
    file.read_exact(&mut memory[start..start + length])?;
    Ok(Bytes::from(memory).slice(start..start + length))
}

/// The same bytes at an address that is a multiple of [`ALIGNMENT`]; copied only if they are not.
pub fn aligned(bytes: Bytes) -> Bytes {
    if bytes.as_ptr().addr().is_multiple_of(ALIGNMENT) {
        return bytes;
    }
    let (mut memory, start) = aligned_memory(bytes.len());
    let end = start + bytes.len();
    memory[start..end].copy_from_slice(&bytes);
    Bytes::from(memory).slice(start..end)
}

/// Zeros, and where in them an aligned range of this length begins.
fn aligned_memory(length: usize) -> (Vec<u8>, usize) {
    let memory = vec![0; length + ALIGNMENT - 1];
    let past = memory.as_ptr().addr() % ALIGNMENT;
    (memory, (ALIGNMENT - past) % ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_mapped_file_and_one_that_was_read_hold_what_was_written(
            contents in prop::collection::vec(any::<u8>(), 0..20_000),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            std::fs::write(&path, &contents).unwrap();
            for access in [Access::Mapped, Access::MappedRandom, Access::InMemory] {
                let bytes = map_file(&path, access).unwrap();
                prop_assert_eq!(&bytes[..], &contents[..]);
                prop_assert!(contents.is_empty() || bytes.as_ptr().addr().is_multiple_of(ALIGNMENT));
            }
        }

        #[test]
        fn aligning_changes_the_address_only(
            contents in prop::collection::vec(any::<u8>(), 0..300),
            from in 0usize..70,
        ) {
            let bytes = Bytes::from(contents.clone());
            let from = from.min(bytes.len());
            let at = aligned(bytes.slice(from..));
            prop_assert_eq!(&at[..], &contents[from..]);
            prop_assert!(at.as_ptr().addr().is_multiple_of(ALIGNMENT));
        }
    }

    #[test]
    fn a_mapping_outlives_the_name_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [7; 10_000]).unwrap();
        let bytes = map_file(&path, Access::Mapped).unwrap().slice(5_000..);
        std::fs::remove_file(&path).unwrap();
        assert!(bytes.iter().all(|byte| *byte == 7));
        let missing = map_file(&path, Access::Mapped).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
