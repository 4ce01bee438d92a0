//! `Replay`: reads the frames of a channel in order, from a sequence on.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use bytes::Bytes;
use millstream_catalog::model::Fault;

use super::format::{FileHeader, FrameHeader, HEADER_BYTES};
use super::recover::{damaged, path_of};
use crate::le::align8;

const BUFFER_BYTES: usize = 256 << 10;

/// A reader of frames. The caller asks only for sequences that are durable.
pub(super) struct Replay<'a> {
    folder: &'a Path,
    open: Option<(FileHeader, BufReader<File>, usize)>,
    next_seq: u64,
}

impl<'a> Replay<'a> {
    /// A reader whose first frame is `next_seq`.
    pub(super) fn new(folder: &'a Path, next_seq: u64) -> Replay<'a> {
        Replay { folder, open: None, next_seq }
    }

    /// The sequence of the next frame.
    pub(super) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Forgets what was read ahead: it was not durable then and may have changed since.
    pub(super) fn refresh(&mut self) -> Result<(), Fault> {
        let Some((header, reader, at)) = &mut self.open else { return Ok(()) };
        let path = path_of(self.folder, header);
        let sought = reader.seek(SeekFrom::Start(*at as u64));
        sought.map_err(|e| damaged(&path, *at, &e.to_string()))?;
        Ok(())
    }

    /// Reads the next frame, which lies in one of `files`.
    pub(super) fn read(&mut self, files: &[FileHeader]) -> Result<Bytes, Fault> {
        let next = self.next_seq;
        let Some(header) = files.iter().rev().find(|file| file.first_seq <= next) else {
            return Err(Fault::internal(format!("entry {next} is no longer in the log")));
        };
        if self.open.as_ref().is_none_or(|(open, _, _)| open != header) {
            let path = path_of(self.folder, header);
            let file = File::open(&path);
            let file = file.map_err(|e| Fault::internal(format!("log {}: {e}", path.display())))?;
            let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
            let skipped =
                std::io::copy(&mut reader.by_ref().take(HEADER_BYTES as u64), &mut std::io::sink());
            skipped.map_err(|e| damaged(&path, 0, &e.to_string()))?;
            self.open = Some((*header, reader, HEADER_BYTES));
        }
        loop {
            let (seq, payload) = self.frame()?;
            if seq == next {
                self.next_seq += 1;
                return Ok(payload);
            }
        }
    }

    fn frame(&mut self) -> Result<(u64, Bytes), Fault> {
        let Some((header, reader, at)) = &mut self.open else {
            return Err(Fault::internal("no log file is open"));
        };
        let path = path_of(self.folder, header);
        let bad = |at: usize, what: &str| damaged(&path, at, what);
        let mut head = [0; HEADER_BYTES];
        reader.read_exact(&mut head).map_err(|e| bad(*at, &e.to_string()))?;
        let Some(frame) = FrameHeader::decode(&head, header.salt) else {
            return Err(bad(*at, "a frame of an acknowledged entry is not readable"));
        };
        if frame.seq > self.next_seq {
            return Err(bad(*at, &format!("entry {} in place of {}", frame.seq, self.next_seq)));
        }
        // The header's checksum is good, so the length is the one that was written.
        let mut payload = vec![0; align8(frame.length as usize)];
        reader.read_exact(&mut payload).map_err(|e| bad(*at, &e.to_string()))?;
        payload.truncate(frame.length as usize);
        if crc32c::crc32c(&payload) != frame.crc {
            return Err(bad(*at, &format!("entry {} fails its checksum", frame.seq)));
        }
        *at += frame.frame_bytes();
        Ok((frame.seq, Bytes::from(payload)))
    }
}
