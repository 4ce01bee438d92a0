//! Log lines on standard error, with a level that can be changed while the server runs.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::LogFormat;

static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Begins to write log lines.
///
/// # Errors
/// A filter that cannot be read, or logs that were set up before.
pub fn start(filter: &str, format: LogFormat) -> Result<(), String> {
    let (layer, handle) = reload::Layer::new(parse(filter)?);
    let registry = tracing_subscriber::registry().with(layer);
    let colors = std::io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(colors);
    let started = match format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json()).try_init(),
    };
    started.map_err(|error| error.to_string())?;
    // Only the first start gets here.
    let _ = FILTER.set(handle);
    Ok(())
}

fn parse(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(filter).map_err(|error| format!("log_level {filter}: {error}"))
}

/// The filter in force.
pub fn level() -> String {
    let text = FILTER.get().and_then(|h| h.with_current(ToString::to_string).ok());
    text.unwrap_or_else(|| "off".to_owned())
}

/// Changes the filter.
///
/// # Errors
/// A filter that cannot be read, or logs that were never started.
pub fn set_level(filter: &str) -> Result<(), String> {
    let parsed = parse(filter)?;
    let handle = FILTER.get().ok_or("log lines are not written by this process")?;
    handle.reload(parsed).map_err(|error| error.to_string())
}
