//! A walk over the fields of an encoded protobuf message, in place.
//!
//! For the messages whose decoded form would be one allocation a row: arrays and sparse vectors.

/// One field of a message: what lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// An integer or a boolean.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// A text, bytes, a message or packed numbers: where they begin and end.
    Run(usize, usize),
    /// Four bytes.
    Fixed32(u32),
}

/// The bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// A message being read, between two positions of `bytes`.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Fields<'a> {
    /// The fields of the message that `bytes` are.
    pub fn new(bytes: &'a [u8]) -> Fields<'a> {
        Fields { bytes, at: 0, end: bytes.len() }
    }

    /// The fields of a message inside this one, which [`Value::Run`] tells.
    pub fn within(&self, start: usize, end: usize) -> Fields<'a> {
        Fields { bytes: self.bytes, at: start.min(end), end: end.min(self.bytes.len()) }
    }

    /// The next field, by number; none at the end.
    pub fn field(&mut self) -> Result<Option<(u64, Value)>, Broken> {
        if self.at >= self.end {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.take()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Broken)?;
                let start = self.at;
                let end = start.checked_add(length).filter(|end| *end <= self.end);
                self.at = end.ok_or(Broken)?;
                Value::Run(start, self.at)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.take()?)),
            _ => return Err(Broken),
        };
        Ok(Some((tag >> 3, value)))
    }

    /// The next of packed integers; none at the end.
    pub fn packed(&mut self) -> Result<Option<u64>, Broken> {
        if self.at >= self.end {
            return Ok(None);
        }
        self.varint().map(Some)
    }

    fn varint(&mut self) -> Result<u64, Broken> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes[..self.end].get(self.at).ok_or(Broken)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Broken)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let rest = &self.bytes[self.at..self.end];
        let taken = rest.first_chunk::<N>().ok_or(Broken)?;
        self.at += N;
        Ok(*taken)
    }
}
