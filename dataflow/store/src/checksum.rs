//! Names, lengths and checksums of files, and the writer that finds them out.

use std::io::{self, Write};

use millstream_catalog::model::FileRef;

use crate::error::Corrupt;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Length in bytes.
    pub bytes: u64,
    /// CRC32C of all bytes.
    pub crc32c: u32,
}

/// Comparing a file with what was written.
pub trait Verify {
    /// Checks the length that a file has now.
    ///
    /// # Errors
    /// When it is another one.
    fn verify_length(&self, bytes: u64) -> Result<(), Corrupt>;

    /// Checks that these are the bytes that were written. Reads all of them.
    ///
    /// # Errors
    /// When they are not.
    fn verify(&self, bytes: &[u8]) -> Result<(), Corrupt>;
}

impl Verify for FileRef {
    fn verify_length(&self, bytes: u64) -> Result<(), Corrupt> {
        if bytes == self.bytes {
            return Ok(());
        }
        let what = format!("it has {bytes} bytes, {} were written", self.bytes);
        Err(Corrupt { file: self.name.clone(), what })
    }

    fn verify(&self, bytes: &[u8]) -> Result<(), Corrupt> {
        self.verify_length(bytes.len() as u64)?;
        let crc = crc32c::crc32c(bytes);
        if crc == self.crc32c {
            return Ok(());
        }
        let what = format!("its CRC32C is {crc:08x}, {:08x} was written", self.crc32c);
        Err(Corrupt { file: self.name.clone(), what })
    }
}

/// A writer that counts and sums what goes through.
pub(crate) struct Summed<'a, W: Write + ?Sized> {
    inner: &'a mut W,
    written: Written,
}

impl<'a, W: Write + ?Sized> Summed<'a, W> {
    pub(crate) fn new(inner: &'a mut W) -> Self {
        Summed { inner, written: Written { bytes: 0, crc32c: 0 } }
    }

    /// Everything so far.
    pub(crate) fn written(&self) -> Written {
        self.written
    }
}

impl<W: Write + ?Sized> Write for Summed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.written.bytes += count as u64;
        let crc = self.written.crc32c;
        self.written.crc32c = crc32c::crc32c_append(crc, bytes.get(..count).unwrap_or(bytes));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
