//! `millstream`: the program. Everything is in the library; this only picks the allocator.

use std::process::ExitCode;

/// Returns memory to the system and does not serialise threads on a global lock.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    millstream_gateway::cli::run()
}
