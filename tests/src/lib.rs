//! The test harness: starts real servers, breaks them, records what clients saw, and checks it.
//!
//! - [`site`]: a place to run a server in (data folder, catalog, log), for every variant of them.
//! - [`server`], [`nats`], [`postgres`], [`bucket`], [`process`]: the processes, started and killed.
//! - [`client`], [`rows`]: a plain client over the public gRPC API.
//! - [`workload`], [`history`], [`check`]: random load, the record of it, and the rules that every
//!   record must keep, whatever was killed meanwhile.

pub mod bucket;
pub mod check;
pub mod client;
pub mod history;
pub mod linear;
pub mod nats;
pub mod postgres;
pub mod process;
pub mod rows;
pub mod server;
pub mod site;
pub mod workload;
