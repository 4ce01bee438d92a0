//! The command line: arguments to one of standalone, demo, doctor.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use millstream_catalog::clock::SystemClock;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{self, Config, Flags};
use crate::standalone::{self, Running};
use crate::{demo, doctor, logging};

/// A vector database as one dataflow, for clients of Milvus.
///
/// Every option is also a variable MILLSTREAM_… in the environment and a key in millstream.toml;
/// options win over variables, variables over the file.
#[derive(Parser)]
#[command(name = "millstream", version, about, long_about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Subcommand)]
enum Command {
    /// Serve everything from this process (the default)
    Standalone,
    /// Serve, load the shipped word vectors through the gRPC API, search, and print what comes back
    Demo {
        /// Leave when done instead of serving on
        #[arg(long)]
        exit: bool,
    },
    /// Check the data folder, the catalog, the log and the ports, and say how to mend what is wrong
    Doctor,
}

/// Runs the program to its end.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let config = match config::load(&cli.flags) {
        Ok(config) => config,
        Err(error) => return failed(&error),
    };
    // The demo's own output is what a person wants to see.
    let quiet = matches!(cli.command, Some(Command::Demo { .. } | Command::Doctor))
        && cli.flags.log_level.is_none();
    let level = if quiet { "warn" } else { config.log_level.as_str() };
    if let Err(error) = logging::start(level, config.log_format) {
        return failed(&error);
    }
    standalone::abort_when_a_worker_panics();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.io_thread_count())
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start threads: {error}")),
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            None | Some(Command::Standalone) => serve(&config).await,
            Some(Command::Demo { exit }) => demo::run(&config, &cli.flags, exit).await,
            Some(Command::Doctor) => doctor::run(&config).await,
        }
    });
    match outcome {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

fn failed(error: &str) -> ExitCode {
    // Nothing is left to do when standard error is closed.
    let _ = writeln!(std::io::stderr(), "millstream: {error}");
    ExitCode::FAILURE
}

/// Writes a line to standard output.
///
/// # Errors
/// When standard output is closed.
pub fn say(line: impl std::fmt::Display) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|e| e.to_string())
}

async fn serve(config: &Config) -> Result<ExitCode, String> {
    let running = standalone::start(config, Arc::new(SystemClock)).await;
    let running = running.map_err(|error| error.to_string())?;
    announce(config, &running)?;
    until_stopped(running).await
}

/// One line for each endpoint, and the line that says that requests are answered.
pub(crate) fn announce(config: &Config, running: &Running) -> Result<(), String> {
    let tls = if config.tls_cert.is_some() { " (TLS)" } else { "" };
    say(format!("gRPC     {}{tls}", running.listen))?;
    let scheme = if config.admin_tls { "https" } else { "http" };
    say(format!("admin    {scheme}://{}", running.admin))?;
    say(format!("data     {}", config.data_dir.display()))?;
    say("millstream is ready")?;
    if !config.auth && !config.listen.ip().is_loopback() {
        tracing::warn!(
            listen = %config.listen,
            "authorization is off and the server listens beyond this machine: anybody who can \
             reach it can read, change and delete everything"
        );
    }
    Ok(())
}

/// Serves until SIGTERM or SIGINT, then stops in order.
pub(crate) async fn until_stopped(running: Running) -> Result<ExitCode, String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| e.to_string())?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
    }
    running.stop().await;
    Ok(ExitCode::SUCCESS)
}
