//! What the benchmarks share: deterministic data, a load generator, clocks of wall and CPU time,
//! and one way to report.
//!
//! Every benchmark prints one line per figure: its name, the value with its unit, and, where there
//! is one, the limit or the peer measured in the same run, the ratio to it, and the target. A rate
//! counts right answers only: the load generator checks both codes of every status, the number of
//! rows and the keys it gets back, and ends the run at the first wrong answer.

pub mod client;
pub mod data;
pub mod echo;
pub mod options;
pub mod process;
pub mod report;
pub mod sample;
pub mod server;
