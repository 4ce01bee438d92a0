//! Settings: defaults, then `millstream.toml`, then `MILLSTREAM_…` variables, then flags.
//!
//! There are few of them, each has one name everywhere (`data_dir`, `MILLSTREAM_DATA_DIR`,
//! `--data-dir`), and one that nobody knows is an error.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use millstream_catalog::{Limits, fail};
use serde::{Deserialize, Serialize};

use crate::quota::Settings;
use crate::tls::Files;

/// The file that is read when none is named and it is there.
pub const FILE: &str = "millstream.toml";
const ENV_PREFIX: &str = "MILLSTREAM_";
/// The longest entry of the log.
const LOG_FILE_BYTES_MIN: u64 = 1 << 20;

/// What log lines look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// All settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder of everything that is kept on this machine.
    pub data_dir: PathBuf,
    /// Where clients connect. Without `auth` anybody who can reach it can do anything.
    pub listen: SocketAddr,
    /// Where health, metrics and the log level are.
    pub admin_listen: SocketAddr,
    /// `sqlite`, for a file in the data folder, or `postgres://…`.
    pub catalog: String,
    /// `embedded`, for files in the data folder, or `nats://…`.
    pub log: String,
    /// `local`, for files in the data folder, `file://…`, or `s3://BUCKET/PREFIX`, whose keys come
    /// from the usual `AWS_…` variables.
    pub store: String,
    /// URL of the server that has the bucket; Amazon's by default.
    pub s3_endpoint: Option<String>,
    /// Region of the bucket.
    pub s3_region: Option<String>,
    /// Bytes of local copies of a bucket's files, beyond those in use.
    pub store_cache_bytes: u64,
    /// Timely workers; 0 means one for every two cores. More do not make one search faster.
    pub workers: usize,
    /// Threads that scan for searches; 0 means one a core.
    pub scan_threads: usize,
    /// Physical channels of a new cluster; an existing one keeps what it has.
    pub channels: u16,
    /// Databases, the default one among them.
    pub max_databases: usize,
    /// Collections in all databases.
    pub max_collections: usize,
    /// Partitions of a collection.
    pub max_partitions: usize,
    /// Filter of log lines: a level, or `target=level` pairs.
    pub log_level: String,
    /// Look of log lines.
    pub log_format: LogFormat,
    /// Requests that take longer, in milliseconds, are logged.
    pub slow_request_ms: u64,
    /// Bytes of a file of the embedded log, before the next one begins: its space is given back by
    /// whole files.
    pub log_file_bytes: u64,
    /// How long rows that ended can be read at past times, in seconds, where a collection does not
    /// say otherwise; compaction takes them away later.
    pub retention_seconds: u64,
    /// Whether clients must say who they are, and may do only what they were granted.
    pub auth: bool,
    /// The server's certificate, in PEM; with it and its key clients connect by TLS only.
    pub tls_cert: Option<PathBuf>,
    /// The key of the certificate, in PEM.
    pub tls_key: Option<PathBuf>,
    /// Authorities, in PEM, that must have signed the certificate of every client.
    pub tls_client_ca: Option<PathBuf>,
    /// Whether the admin port, too, is reached by TLS only, with the same certificates.
    pub admin_tls: bool,
    /// Rates that are not to be exceeded, as `[SCOPE.]KIND=RATE`; see [`crate::quota::Settings`].
    pub quota: Vec<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            data_dir: PathBuf::from("millstream-data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 19_530)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 9_091)),
            catalog: "sqlite".to_owned(),
            log: "embedded".to_owned(),
            store: "local".to_owned(),
            s3_endpoint: None,
            s3_region: None,
            store_cache_bytes: 16 << 30,
            workers: 0,
            scan_threads: 0,
            channels: 16,
            max_databases: Limits::default().databases,
            max_collections: Limits::default().collections,
            max_partitions: Limits::default().partitions,
            log_level: "info".to_owned(),
            log_format: LogFormat::Text,
            slow_request_ms: 5_000,
            log_file_bytes: 64 << 20,
            retention_seconds: 600,
            auth: false,
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
            admin_tls: false,
            quota: Vec::new(),
        }
    }
}

/// The flags that stand for settings. Without a value a flag leaves the setting alone.
#[derive(Clone, Debug, Default, Args, Serialize)]
pub struct Flags {
    /// Settings file [default: millstream.toml if there is one]
    #[arg(long, global = true, value_name = "FILE", env = "MILLSTREAM_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Folder of everything that is kept on this machine [default: millstream-data]
    #[arg(long, global = true, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Where clients connect [default: 127.0.0.1:19530]
    #[arg(long, global = true, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Where health, metrics and the log level are [default: 127.0.0.1:9091]
    #[arg(long, global = true, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_listen: Option<SocketAddr>,
    /// sqlite or postgres://… [default: sqlite]
    #[arg(long, global = true, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog: Option<String>,
    /// embedded or nats://… [default: embedded]
    #[arg(long, global = true, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// local, file://… or s3://BUCKET/PREFIX [default: local]
    #[arg(long, global = true, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Server that has the bucket [default: Amazon's of the region]
    #[arg(long, global = true, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_endpoint: Option<String>,
    /// Region of the bucket [default: us-east-1]
    #[arg(long, global = true, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_region: Option<String>,
    /// Bytes of local copies of a bucket's files, beyond those in use [default: 16 GiB]
    #[arg(long, global = true, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_cache_bytes: Option<u64>,
    /// Timely workers [default: one for every two cores]
    #[arg(long, global = true, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
    /// Threads that scan for searches [default: one a core]
    #[arg(long, global = true, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan_threads: Option<usize>,
    /// Physical channels of a new cluster [default: 16]
    #[arg(long, global = true, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<u16>,
    /// Most databases [default: 64]
    #[arg(long, global = true, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_databases: Option<usize>,
    /// Most collections in all databases [default: 65536]
    #[arg(long, global = true, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_collections: Option<usize>,
    /// Most partitions of a collection [default: 4096]
    #[arg(long, global = true, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_partitions: Option<usize>,
    /// Filter of log lines, as debug or millstream_gateway=debug [default: info]
    #[arg(long, global = true, value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,
    /// Look of log lines [default: text]
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
    /// Log requests that take longer than this many milliseconds [default: 5000]
    #[arg(long, global = true, value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_request_ms: Option<u64>,
    /// Bytes of a file of the embedded log [default: 67108864]
    #[arg(long, global = true, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_file_bytes: Option<u64>,
    /// How long rows that ended can be read at past times, in seconds [default: 600]
    #[arg(long, global = true, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_seconds: Option<u64>,
    /// Serve only clients with credentials, and let them do only what they were granted
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<bool>,
    /// The server's certificate in PEM: clients connect by TLS only
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<PathBuf>,
    /// The key of the certificate in PEM
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// Authorities in PEM that must have signed the certificate of every client
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_ca: Option<PathBuf>,
    /// Serve the admin port by TLS only, too
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_tls: Option<bool>,
    /// A rate that is not to be exceeded, as insert_mb=64 or collection.search_vps=100 (repeatable)
    #[arg(long, global = true, value_name = "[SCOPE.]KIND=RATE")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quota: Vec<String>,
}

/// Reads the settings from all their places.
///
/// # Errors
/// A text that names the key, or the file that cannot be read.
pub fn load(flags: &Flags) -> Result<Config, String> {
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    match &flags.config {
        Some(file) if !file.exists() => {
            return Err(format!("settings file {} does not exist", file.display()));
        }
        Some(file) => figment = figment.merge(Toml::file_exact(file)),
        None if Path::new(FILE).exists() => figment = figment.merge(Toml::file_exact(FILE)),
        None => {}
    }
    // The test suite's own variables, and the one that names the file, are no settings.
    let env = Env::prefixed(ENV_PREFIX)
        .filter(|key| !key.starts_with("test_") && !key.starts_with("bench_") && key != "config")
        .filter(|key| !(fail::ENABLED && key == "fail_point"));
    let config: Config = figment
        .merge(env)
        .merge(Serialized::globals(flags))
        .extract()
        .map_err(|error| format!("settings: {error}"))?;
    config.checked()
}

impl Config {
    fn checked(self) -> Result<Config, String> {
        if self.channels == 0 || self.channels > 1_024 {
            return Err(format!("channels = {} is not in 1..=1024", self.channels));
        }
        if !(self.log == "embedded" || self.log.starts_with("nats://")) {
            return Err(format!("log = {} is neither embedded nor nats://…", self.log));
        }
        if self.log_file_bytes < LOG_FILE_BYTES_MIN {
            let (given, least) = (self.log_file_bytes, LOG_FILE_BYTES_MIN);
            return Err(format!("log_file_bytes = {given} is less than {least}"));
        }
        let postgres = ["postgres://", "postgresql://"].iter().any(|p| self.catalog.starts_with(p));
        if !(self.catalog == "sqlite" || postgres) {
            return Err(format!("catalog = {} is neither sqlite nor postgres://…", self.catalog));
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err("tls_cert and tls_key belong together: one of them is missing".to_owned());
        }
        if self.tls_client_ca.is_some() && self.tls_cert.is_none() {
            return Err("tls_client_ca needs tls_cert and tls_key".to_owned());
        }
        if self.admin_tls && self.tls_cert.is_none() {
            return Err("admin_tls needs tls_cert and tls_key".to_owned());
        }
        Settings::parse(&self.quota)?;
        Ok(self)
    }

    /// Where the certificates of TLS are; `None` without TLS.
    pub fn tls(&self) -> Option<Files> {
        let (cert, key) = (self.tls_cert.clone()?, self.tls_key.clone()?);
        Some(Files { cert, key, client_ca: self.tls_client_ca.clone() })
    }

    /// Timely workers to start.
    pub fn worker_count(&self) -> usize {
        match self.workers {
            0 => (cores() / 2).max(1),
            n => n,
        }
    }

    /// Threads that serve connections: the cores that the workers leave. More of them than cores
    /// cost each request several wake-ups.
    pub fn io_thread_count(&self) -> usize {
        cores().saturating_sub(self.worker_count()).max(1)
    }

    /// Threads of the scan pool to start.
    pub fn scan_thread_count(&self) -> usize {
        match self.scan_threads {
            0 => cores(),
            n => n,
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m.toml");
        std::fs::write(&file, text).unwrap();
        load(&Flags { config: Some(file), channels: Some(4), ..Flags::default() })
    }

    #[test]
    fn a_file_overrides_defaults_and_flags_override_the_file() {
        let config =
            with_file("channels = 8\nslow_request_ms = 7\nlog_format = \"json\"\n").unwrap();
        assert_eq!((config.channels, config.slow_request_ms), (4, 7));
        assert_eq!(config.log_format, LogFormat::Json);
        assert_eq!(config.listen, Config::default().listen);
    }

    #[test]
    fn a_key_that_nobody_knows_is_an_error_that_names_it() {
        let error = with_file("chanels = 8\n").unwrap_err();
        assert!(error.contains("chanels"), "{error}");
    }

    #[test]
    fn a_value_that_makes_no_sense_is_an_error() {
        assert!(with_file("log = \"kafka://x\"\n").unwrap_err().contains("kafka://x"));
        assert!(with_file("catalog = \"mysql://x\"\n").unwrap_err().contains("mysql://x"));
        assert!(with_file("tls_cert = \"x\"\n").unwrap_err().contains("tls_key"));
        assert!(with_file("tls_client_ca = \"x\"\n").unwrap_err().contains("needs tls_cert"));
        assert!(with_file("admin_tls = true\n").unwrap_err().contains("needs tls_cert"));
        assert!(with_file("log_file_bytes = 9\n").unwrap_err().contains("less than 1048576"));
        assert!(with_file("quota = [\"rows=x\"]\n").unwrap_err().contains("rows=x"));
        let missing = Flags { config: Some("/nowhere/at/all.toml".into()), ..Flags::default() };
        assert!(load(&missing).unwrap_err().contains("does not exist"));
    }
}
