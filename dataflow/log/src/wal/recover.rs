//! Opening a channel: reads all files, cuts a torn last frame off, refuses damage.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use millstream_catalog::model::Fault;

use super::file::{ActiveFile, sync_folder};
use super::format::{FileHeader, FrameHeader, HEADER_BYTES, file_name, parse_name};
use super::{SyncFile, SyncKind};
use crate::le;

/// What a channel's folder holds.
pub(super) struct Recovered {
    /// The files in order.
    pub(super) files: Vec<FileHeader>,
    /// The last sequence; 0 when there was never one.
    pub(super) last_seq: u64,
    /// The last file, open for appending.
    pub(super) active: Option<ActiveFile>,
}

enum Tail {
    /// Zeros to the end of the file, or the end itself.
    Clean,
    /// Bytes that are no frame, and no frame behind them.
    Torn,
    /// A frame that does not belong here, or a bad one before a good one.
    Damaged(String),
}

struct Scan {
    next_seq: u64,
    end: usize,
    length: usize,
    tail: Tail,
}

/// Opens a channel's folder, creating it when it is not there.
pub(super) fn recover(folder: &Path, channel: u16, sync: &SyncFile) -> Result<Recovered, Fault> {
    let fault =
        |path: &Path, e: std::io::Error| Fault::internal(format!("log {}: {e}", path.display()));
    std::fs::create_dir_all(folder).map_err(|e| fault(folder, e))?;
    let mut files = Vec::new();
    for file in std::fs::read_dir(folder).map_err(|e| fault(folder, e))? {
        let name = file.map_err(|e| fault(folder, e))?.file_name();
        if let Some((first_seq, salt)) = name.to_str().and_then(parse_name) {
            files.push(FileHeader { channel, first_seq, salt });
        }
    }
    files.sort_by_key(|file| file.first_seq);
    let mut recovered = Recovered { last_seq: 0, active: None, files };
    for (index, header) in recovered.files.iter().enumerate() {
        let path = path_of(folder, header);
        let bytes = std::fs::read(&path).map_err(|e| fault(&path, e))?;
        let last = index + 1 == recovered.files.len();
        let scan = scan(&bytes, header);
        let next_file = recovered.files.get(index + 1);
        match &scan.tail {
            Tail::Damaged(what) => return Err(damaged(&path, scan.end, what)),
            Tail::Torn if !last => {
                return Err(damaged(&path, scan.end, "a bad frame, and another file after it"));
            }
            _ => {}
        }
        if let Some(next) = next_file.filter(|next| next.first_seq != scan.next_seq) {
            let what = format!("entries {} to {} are missing", scan.next_seq, next.first_seq);
            return Err(damaged(&path, scan.end, &what));
        }
        recovered.last_seq = scan.next_seq.saturating_sub(1);
        if last {
            let active = reopen(&path, *header, &scan, sync).map_err(|e| fault(&path, e))?;
            recovered.active = Some(active);
        }
    }
    sync_folder(folder, sync).map_err(|e| fault(folder, e))?;
    Ok(recovered)
}

/// The path of a file.
pub(super) fn path_of(folder: &Path, header: &FileHeader) -> PathBuf {
    folder.join(file_name(header.first_seq, header.salt))
}

/// The error of bytes that are not what was written.
pub(super) fn damaged(path: &Path, offset: usize, what: &str) -> Fault {
    Fault::internal(format!(
        "log file {} is damaged at byte {offset}: {what}. Nothing was changed; restore the file \
         from a copy",
        path.display()
    ))
}

/// Opens the last file where its frames end. What lies behind a torn end is cut off, durably.
fn reopen(
    path: &Path,
    header: FileHeader,
    scan: &Scan,
    sync: &SyncFile,
) -> std::io::Result<ActiveFile> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut length = scan.length as u64;
    if matches!(scan.tail, Tail::Torn) {
        tracing::warn!(file = %path.display(), offset = scan.end, "cutting a torn write off");
        length = scan.end as u64;
        file.set_len(length)?;
    }
    if scan.end == HEADER_BYTES {
        // The header may be what was torn.
        file.write_all_at(&header.encode(), 0)?;
        length = length.max(HEADER_BYTES as u64);
    }
    // Also when nothing was torn: the last frame may be whole and not yet durable.
    sync(&file, SyncKind::All)?;
    Ok(ActiveFile::resume(file, header, scan.end as u64, length))
}

fn scan(bytes: &[u8], header: &FileHeader) -> Scan {
    let mut scan = Scan {
        next_seq: header.first_seq,
        end: HEADER_BYTES,
        length: bytes.len(),
        tail: Tail::Clean,
    };
    let head = &bytes[..bytes.len().min(HEADER_BYTES)];
    if !header.matches(head) {
        // A file is created with its header alone: one torn then holds nothing else.
        let torn = bytes.len() < HEADER_BYTES || bytes.iter().all(|&b| b == 0);
        scan.end = if torn { HEADER_BYTES } else { 0 };
        if !torn {
            scan.tail = Tail::Damaged("its header is not the one of its name and version".into());
        }
        return scan;
    }
    while let Some(frame) = frame_at(bytes, scan.end, header.salt) {
        if frame.seq != scan.next_seq {
            let what = format!("entry {} where {} belongs", frame.seq, scan.next_seq);
            scan.tail = Tail::Damaged(what);
            return scan;
        }
        scan.end += frame.frame_bytes();
        scan.next_seq += 1;
    }
    let rest = bytes.get(scan.end..).unwrap_or_default();
    if rest.iter().any(|&b| b != 0) {
        scan.tail = match frame_after(bytes, scan.end, header.salt, scan.next_seq) {
            Some(at) => Tail::Damaged(format!("a bad frame, and a good one at byte {at}")),
            None => Tail::Torn,
        };
    }
    scan
}

/// The whole and undamaged frame at an offset.
fn frame_at(bytes: &[u8], at: usize, salt: u64) -> Option<FrameHeader> {
    let rest = bytes.get(at..)?;
    let frame = FrameHeader::decode(rest, salt)?;
    let payload = rest.get(HEADER_BYTES..HEADER_BYTES + frame.length as usize)?;
    let padding = rest.get(HEADER_BYTES + frame.length as usize..frame.frame_bytes())?;
    let good = crc32c::crc32c(payload) == frame.crc && padding.iter().all(|&b| b == 0);
    good.then_some(frame)
}

/// Where a good frame of a later entry lies behind a bad one.
fn frame_after(bytes: &[u8], bad: usize, salt: u64, bad_seq: u64) -> Option<usize> {
    let magic = super::format::FRAME_MAGIC;
    (bad + 8..bytes.len())
        .step_by(8)
        .filter(|&at| le::u32_at(bytes, at) == magic)
        .find(|&at| frame_at(bytes, at, salt).is_some_and(|frame| frame.seq > bad_seq))
}
