//! Names of files: relative, plain, and the same in a folder as in a bucket.

use crate::error::StoreError;

/// Longest part of a name, as file systems have it.
const PART_BYTES_MAX: usize = 255;
/// Longest name, as S3 has it.
const NAME_BYTES_MAX: usize = 1024;

/// Refuses names that could leave the store, be hidden in it, or need escaping anywhere.
pub(super) fn check_name(name: &str) -> Result<(), StoreError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '=');
    let part = |part: &str| {
        !part.is_empty()
            && part.len() <= PART_BYTES_MAX
            && !part.starts_with('.')
            && part.chars().all(plain)
    };
    if name.len() <= NAME_BYTES_MAX && name.split('/').all(part) {
        return Ok(());
    }
    Err(StoreError::Input(format!("{name:?} is no name of a file in the store")))
}
