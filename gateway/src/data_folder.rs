//! `DataFolder`: everything of one server on one machine, locked, with a format version.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use millstream_catalog::fail;

/// The format of folders that this version makes and reads.
const FORMAT: &str = "millstream data folder, format 2\n";

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process has it.
    #[error("data folder {0}: another process is using it; stop it or choose another --data-dir")]
    Locked(PathBuf),
    /// Another version made it.
    #[error("data folder {0}: its format is '{1}', which this version cannot read")]
    Format(PathBuf, String),
    /// It holds something else.
    #[error("data folder {0}: it is not empty and was not made by millstream")]
    Foreign(PathBuf),
    /// The file system refuses.
    #[error("data folder {0}: {1}")]
    Io(PathBuf, io::Error),
}

/// An open data folder. The lock ends with it, also when the process is killed.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Opens a folder, making it if it is not there.
    ///
    /// # Errors
    /// See [`FolderError`]. Nothing is changed in a folder that is refused.
    pub fn open(path: &Path) -> Result<DataFolder, FolderError> {
        let io = |error| FolderError::Io(path.to_owned(), error);
        fs::create_dir_all(path).map_err(io)?;
        let format = path.join("FORMAT");
        let found = match fs::read_to_string(&format) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io(error)),
        };
        if let Some(text) = &found
            && text != FORMAT
        {
            return Err(FolderError::Format(path.to_owned(), text.trim().to_owned()));
        }
        if found.is_none() && !is_fresh(path).map_err(io)? {
            return Err(FolderError::Foreign(path.to_owned()));
        }
        let lock = File::create(path.join("LOCK")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FolderError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        if found.is_none() {
            // Whole or not at all: a half-written version would make the folder unreadable.
            let fresh = path.join("FORMAT.new");
            fs::write(&fresh, FORMAT).map_err(io)?;
            File::open(&fresh).and_then(|f| f.sync_all()).map_err(io)?;
            fail::point("start.folder_marked");
            fs::rename(&fresh, &format).map_err(io)?;
            File::open(path).and_then(|f| f.sync_all()).map_err(io)?;
        }
        Ok(DataFolder { path: path.to_owned(), _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether a folder without a version holds nothing but what a start that was killed left.
fn is_fresh(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if name != "LOCK" && name != "FORMAT.new" {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_opens_again_after_it_was_closed_and_not_before() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("data");
        let open = DataFolder::open(&path).unwrap();
        assert!(matches!(DataFolder::open(&path), Err(FolderError::Locked(_))));
        drop(open);
        assert_eq!(DataFolder::open(&path).unwrap().path(), path);
    }

    #[test]
    fn a_folder_of_another_format_or_of_somebody_else_is_refused_untouched() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("FORMAT"), "millstream data folder, format 99\n").unwrap();
        let error = DataFolder::open(base.path()).unwrap_err();
        assert!(error.to_string().contains("format 99"), "{error}");

        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("thesis.txt"), "chapter 1").unwrap();
        assert!(matches!(DataFolder::open(other.path()), Err(FolderError::Foreign(_))));
        assert!(!other.path().join("LOCK").exists());
    }

    #[test]
    fn a_start_that_was_killed_half_way_does_not_spoil_the_folder() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("LOCK"), "").unwrap();
        fs::write(base.path().join("FORMAT.new"), "mill").unwrap();
        assert!(DataFolder::open(base.path()).is_ok());
    }
}
