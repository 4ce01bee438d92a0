//! What the data is at time T: the only crate that knows timely.
//!
//! A [`Dataflow`] is the workers of one process. The log feeds each channel's inbox; the worker
//! that owns the channel applies it to the shards that live there and closes time behind it. Reads
//! come in as plain requests ([`api`]), wait until their time is closed on every shard that they
//! cover, run on a pool against immutable snapshots, and come back merged.
//!
//! **Invariant.** A read runs at one time, chosen once, on all its shards. What is closed never
//! changes, so the same read at the same time gives the same answer, on any replica and after any
//! restart.
//!
//! **Invariant.** Operators never scan, sort or wait: what is long runs on the pool and comes back
//! through an activation. An idle process does nothing at all.
//!
//! **Absent on purpose.** No gRPC, no SQL, no clock, no tokio. Who may read what, and which name
//! means which collection, is the gateway's.

pub mod api;
pub mod partition;
pub mod records;
pub mod shard;

mod ask;
mod census;
mod channel;
mod flow;
mod handle;
mod interest;
mod part;
mod pool;
mod read;
mod retention;
mod shared;
pub mod storage;

pub use census::ShardPart;
pub use handle::{Config, Dataflow, DeleteOutcome, Manual, Parts};
