//! Databases on the PostgreSQL server that `tests/run` starts.

use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::process::setting;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A database of its own, dropped at the end.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// Creates one.
    ///
    /// # Errors
    /// When `MILLSTREAM_TEST_POSTGRES` is not set or the server refuses.
    pub fn create() -> io::Result<Database> {
        let server = setting("MILLSTREAM_TEST_POSTGRES")?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("millstream_{}_{number}", std::process::id());
        let database = Database { server, name };
        database.sql(&format!("CREATE DATABASE {}", database.name))?;
        Ok(database)
    }

    /// Its address for `--catalog`.
    pub fn url(&self) -> String {
        let base = self.server.rsplit_once('/').map_or(self.server.as_str(), |(base, _)| base);
        format!("{base}/{}", self.name)
    }

    /// What a statement answers on this database: lines of columns that `|` separates.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn query(&self, statement: &str) -> io::Result<String> {
        psql(&["-A", "-t", "-d", &self.url(), "-c", statement])
    }

    /// Runs a statement on the server's own database.
    fn sql(&self, statement: &str) -> io::Result<()> {
        psql(&["-d", &self.server, "-c", statement]).map(drop)
    }
}

/// Runs PostgreSQL's own client; what it prints.
fn psql(arguments: &[&str]) -> io::Result<String> {
    let psql = std::env::var_os("MILLSTREAM_TEST_POSTGRES_BIN")
        .map_or_else(|| PathBuf::from("psql"), |bin| PathBuf::from(bin).join("psql"));
    let mut command = Command::new(psql);
    command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]).args(arguments);
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}

impl Drop for Database {
    fn drop(&mut self) {
        // The whole server goes away at the end of the run; this only keeps it small meanwhile.
        let _ = self.sql(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}
