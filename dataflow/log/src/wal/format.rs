//! The headers of files and frames. The layout is in the documentation of the parent module.

use crate::le;

pub(super) const FILE_MAGIC: u32 = u32::from_le_bytes(*b"MSWF");
pub(super) const FRAME_MAGIC: u32 = u32::from_le_bytes(*b"MSWL");
const VERSION: u16 = 1;
/// Bytes of a file header, and of a frame header.
pub(super) const HEADER_BYTES: usize = 32;
const CRC_AT: usize = 28;

/// The header of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub(super) channel: u16,
    pub(super) first_seq: u64,
    pub(super) salt: u64,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) seq: u64,
    pub(super) length: u32,
    pub(super) crc: u32,
}

fn header_crc(header: &[u8], salt: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..CRC_AT]), &salt.to_le_bytes())
}

impl FileHeader {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..4].copy_from_slice(&FILE_MAGIC.to_le_bytes());
        out[4..6].copy_from_slice(&VERSION.to_le_bytes());
        out[6..8].copy_from_slice(&self.channel.to_le_bytes());
        out[8..16].copy_from_slice(&self.first_seq.to_le_bytes());
        out[16..24].copy_from_slice(&self.salt.to_le_bytes());
        let crc = header_crc(&out, self.salt);
        out[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Whether these are the bytes of this header.
    pub(super) fn matches(&self, bytes: &[u8]) -> bool {
        bytes == self.encode()
    }
}

impl FrameHeader {
    pub(super) fn encode(&self, salt: u64) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
        out[4..6].copy_from_slice(&VERSION.to_le_bytes());
        out[8..16].copy_from_slice(&self.seq.to_le_bytes());
        out[16..20].copy_from_slice(&self.length.to_le_bytes());
        out[20..24].copy_from_slice(&self.crc.to_le_bytes());
        let crc = header_crc(&out, salt);
        out[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The header in these bytes, if it is one of a file with this salt.
    pub(super) fn decode(bytes: &[u8], salt: u64) -> Option<FrameHeader> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let good = le::u32_at(bytes, 0) == FRAME_MAGIC
            && le::u16_at(bytes, 4) == VERSION
            && le::u32_at(bytes, CRC_AT) == header_crc(bytes, salt);
        good.then(|| FrameHeader {
            seq: le::u64_at(bytes, 8),
            length: le::u32_at(bytes, 16),
            crc: le::u32_at(bytes, 20),
        })
    }

    /// Bytes of the whole frame with its padding.
    pub(super) fn frame_bytes(&self) -> usize {
        HEADER_BYTES + le::align8(self.length as usize)
    }
}

/// The name of a file.
pub(super) fn file_name(first_seq: u64, salt: u64) -> String {
    format!("{first_seq:020}-{salt:016x}.wal")
}

/// First sequence and salt of a file's name; `None` for a file of another kind.
pub(super) fn parse_name(name: &str) -> Option<(u64, u64)> {
    let (seq, salt) = name.strip_suffix(".wal")?.split_once('-')?;
    if seq.len() != 20 || salt.len() != 16 {
        return None;
    }
    Some((seq.parse().ok()?, u64::from_str_radix(salt, 16).ok()?))
}
