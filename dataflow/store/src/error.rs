//! What goes wrong with files: one variant for each thing that a caller does differently.

use std::io;

use thiserror::Error;

/// Bytes that are not what was written. They are never served; nothing is deleted for it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file} is damaged: {what}")]
pub struct Corrupt {
    /// Name of the file.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
}

/// Why the contents of a file were not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// What should be written cannot be; the text names it.
    #[error("{0}")]
    Input(String),
    /// The file took no more bytes.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Why the store did not do what it was asked for. Nothing is visible of a file whose `put_file`
/// failed, except after `Remote`, where it may be.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is no file of this name.
    #[error("{name} is not in the store")]
    Missing {
        /// Name of the file.
        name: String,
    },
    /// There already is a file of this name; names are used once.
    #[error("{name} is already in the store")]
    Exists {
        /// Name of the file.
        name: String,
    },
    /// The file is not what was written.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// The disk or its quota is full; the same call can succeed once there is space.
    #[error("no space is left for {name}: {source}")]
    Full {
        /// Name of the file.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// The disk failed.
    #[error("{name}: {source}")]
    Io {
        /// Name of the file or folder.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// The remote store did not answer, or not as it should.
    #[error("{name}: the object store: {text}")]
    Remote {
        /// Name of the file, or of the store.
        name: String,
        /// What it says.
        text: String,
    },
    /// The request itself is wrong: a name, an address, or contents that cannot be written.
    #[error("{0}")]
    Input(String),
}

impl StoreError {
    /// The error of a system call about a file or folder.
    pub(crate) fn io(name: &str, source: io::Error) -> StoreError {
        let name = name.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::Full { name, source }
            }
            _ => StoreError::Io { name, source },
        }
    }

    /// The error of opening a file by its name.
    pub(crate) fn opening(name: &str, source: io::Error) -> StoreError {
        match source.kind() {
            io::ErrorKind::NotFound => StoreError::Missing { name: name.to_owned() },
            _ => StoreError::io(name, source),
        }
    }

    /// The error of a closure that writes a file.
    pub(crate) fn write(name: &str, error: WriteError) -> StoreError {
        match error {
            WriteError::Input(text) => StoreError::Input(format!("{name}: {text}")),
            WriteError::Io(e) => StoreError::io(name, e),
        }
    }
}
