//! The gateway: who asked, and when. The only crate that knows gRPC, HTTP and Milvus's messages.
//!
//! ```text
//! client ─▶ service (one file a noun) ─▶ convert ─▶ dml ─▶ Writer ─▶ log
//!              │ queue, deadline            │
//!              ▼                            ▼
//!          meta_cache ◀─ catalog        guarantee ─▶ Dataflow ─▶ convert ─▶ client
//! ```
//!
//! **Invariant.** A gateway keeps nothing that another could not read from the catalog or the log:
//! any gateway may answer any request, and one that dies takes nothing with it.
//!
//! **Invariant.** A write is checked whole before anything of it is written, and the time in its
//! answer is allocated after the log has acknowledged it.
//!
//! **Absent on purpose.** No state of clients, no leases on channels, no rows.

pub mod admin;
pub mod auth;
pub mod cli;
pub mod config;
pub mod convert;
pub mod data_folder;
pub mod ddl;
pub mod deadlines;
pub mod demo;
pub mod dml;
pub mod doctor;
pub mod files;
pub mod gateway;
pub mod guarantee;
pub mod logging;
pub mod machine;
pub mod meta_cache;
pub mod names;
pub mod pb;
pub mod queue;
pub mod quota;
pub mod service;
pub mod standalone;
pub mod telemetry;
pub mod tls;
