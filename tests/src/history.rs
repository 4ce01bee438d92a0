//! The record of what clients did and saw: the checker's only input.
//!
//! Every row of a recorded collection carries a token that no other write uses, in a scalar field
//! and, digit by digit, in its vector. A client writes only its own keys, one request at a time,
//! and never again a key whose last write has an unknown outcome. So every key has a line of
//! versions, of which at most the last is unsure.

/// Digits of a token, in base 256: the dimension of recorded vectors.
pub const DIM: usize = 8;

/// The vector of a token: its digits. Squared distances of such vectors are whole numbers below
/// 2^24, so every way to add them up in `f32` gives the same result.
pub fn vector(token: i64) -> [f32; DIM] {
    token.to_le_bytes().map(f32::from)
}

/// The squared distance between the vectors of two tokens.
pub fn distance(a: i64, b: i64) -> f32 {
    vector(a).iter().zip(vector(b)).map(|(x, y)| (x - y) * (x - y)).sum()
}

/// What a client knows of a request's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It happened, before this timestamp.
    Acknowledged(u64),
    /// It did not happen.
    Refused,
    /// It happened or not.
    Unknown,
}

/// What a write does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Keys get rows with these tokens; rows that the keys had end.
    Put(Vec<(i64, i64)>),
    /// Rows of these keys end.
    Delete(Vec<i64>),
}

impl Change {
    /// The keys that change, with their new tokens.
    pub fn keys(&self) -> Vec<(i64, Option<i64>)> {
        match self {
            Change::Put(rows) => rows.iter().map(|&(key, token)| (key, Some(token))).collect(),
            Change::Delete(keys) => keys.iter().map(|&key| (key, None)).collect(),
        }
    }
}

/// A write request. Times are nanoseconds of one clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Who asked.
    pub client: usize,
    /// When the request was sent.
    pub invoked: u64,
    /// When its answer came.
    pub completed: u64,
    /// What it does.
    pub change: Change,
    /// What became of it.
    pub outcome: Outcome,
}

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Sees everything acknowledged before it was sent.
    Strong,
    /// Sees the client's own writes.
    Session,
    /// Sees everything acknowledged five seconds before.
    Bounded,
    /// Sees some complete past.
    Eventually,
    /// Is answered at exactly this time.
    Pinned(u64),
}

/// What a read answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// All rows: keys and tokens.
    Rows(Vec<(i64, i64)>),
    /// The number of rows.
    Count(u64),
    /// The `topk` rows nearest to the vector of a token: keys and squared distances.
    Nearest {
        /// The token whose vector was asked for.
        token: i64,
        /// Hits wanted.
        topk: usize,
        /// Hits in the order of the answer.
        hits: Vec<(i64, f32)>,
    },
}

/// A read that was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// Who asked.
    pub client: usize,
    /// When the request was sent.
    pub invoked: u64,
    /// When its answer came.
    pub completed: u64,
    /// How fresh it had to be.
    pub level: Level,
    /// The time that the server says it answered at, if it says.
    pub as_of: Option<u64>,
    /// The answer.
    pub seen: Seen,
}

/// A timestamp that a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When the request was sent.
    pub invoked: u64,
    /// When its answer came.
    pub completed: u64,
    /// The timestamp.
    pub ts: u64,
}

/// Everything that the clients of one collection did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Shards of the collection. A request that failed may have happened on some of them only.
    pub shards: usize,
    /// Whether the log may store a part of a request behind later ones, as one does that is asked
    /// again after a lost connection. Then a read that is older than the answer to a request on
    /// several shards may see it on some of them only.
    pub late_parts: bool,
    /// Writes, in any order.
    pub writes: Vec<Write>,
    /// Answered reads, in any order.
    pub reads: Vec<Read>,
    /// Timestamps, in any order.
    pub stamps: Vec<Stamp>,
}

impl History {
    /// Adds another record of the same collection and clock.
    pub fn append(&mut self, mut other: History) {
        self.shards = self.shards.max(other.shards);
        self.late_parts |= other.late_parts;
        self.writes.append(&mut other.writes);
        self.reads.append(&mut other.reads);
        self.stamps.append(&mut other.stamps);
    }

    /// Number of acknowledged writes.
    pub fn acknowledged(&self) -> usize {
        let acknowledged = |write: &&Write| matches!(write.outcome, Outcome::Acknowledged(_));
        self.writes.iter().filter(acknowledged).count()
    }
}
