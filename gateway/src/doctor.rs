//! `millstream doctor`: looks at every back end and says what is wrong and how to mend it.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;

use millstream_catalog::catalog::Catalog;
use millstream_catalog::clock::SystemClock;

use crate::cli::say;
use crate::config::Config;
use crate::data_folder::{DataFolder, FolderError};
use crate::standalone::{open_catalog, open_log, open_store};

/// What was found.
#[derive(Default)]
struct Findings {
    wrong: usize,
}

impl Findings {
    fn good(&self, what: &str, detail: impl std::fmt::Display) -> Result<(), String> {
        say(format!("ok     {what}: {detail}"))
    }

    fn bad(
        &mut self,
        what: &str,
        detail: impl std::fmt::Display,
        mend: &str,
    ) -> Result<(), String> {
        self.wrong += 1;
        say(format!("WRONG  {what}: {detail}"))?;
        say(format!("       mend: {mend}"))
    }
}

/// Checks everything; the exit code is 1 when something is wrong.
///
/// # Errors
/// When standard output is closed.
pub async fn run(config: &Config) -> Result<ExitCode, String> {
    let mut findings = Findings::default();
    match DataFolder::open(&config.data_dir) {
        Ok(folder) => {
            findings.good("data folder", folder.path().display())?;
            check_port(&mut findings, "listen", config.listen)?;
            check_port(&mut findings, "admin-listen", config.admin_listen)?;
            if let Some(files) = config.tls() {
                match files.check() {
                    Ok(()) => findings.good("tls", files.cert.display())?,
                    Err(error) => {
                        let mend = "each file is PEM, and the key is that of the certificate";
                        findings.bad("tls", error, mend)?;
                    }
                }
            }
            check_back_ends(config, &folder, &mut findings).await?;
        }
        Err(error @ FolderError::Locked(_)) => {
            let mend = format!(
                "if that server is meant to run, ask it: curl http://{}/healthz",
                config.admin_listen
            );
            findings.bad("data folder", error, &mend)?;
        }
        Err(error) => {
            findings.bad("data folder", error, "choose another --data-dir, or move it away")?;
        }
    }
    if findings.wrong == 0 {
        say("everything is well")?;
        return Ok(ExitCode::SUCCESS);
    }
    say(format!("{} wrong", findings.wrong))?;
    Ok(ExitCode::FAILURE)
}

fn check_port(findings: &mut Findings, name: &str, address: SocketAddr) -> Result<(), String> {
    match TcpListener::bind(address) {
        Ok(_) => findings.good(name, format!("{address} is free")),
        Err(error) => {
            let mend = match error.kind() {
                ErrorKind::AddrInUse => "stop what listens there, or choose another address",
                ErrorKind::PermissionDenied => "choose a port above 1023",
                _ => "choose an address of this machine",
            };
            findings.bad(name, format!("{address}: {error}"), &format!("{mend} with --{name}"))
        }
    }
}

/// What to do when the store cannot be opened.
fn store_mend(config: &Config) -> &'static str {
    match config.store.starts_with("s3://") {
        true => "check the bucket, s3_endpoint, s3_region and the AWS_... keys",
        false => "the folder must be readable and writable",
    }
}

async fn check_back_ends(
    config: &Config,
    folder: &DataFolder,
    findings: &mut Findings,
) -> Result<(), String> {
    let catalog = match open_catalog(config, folder, Arc::new(SystemClock)).await {
        Ok(catalog) => catalog,
        Err(error) => {
            let mend = match config.catalog.as_str() {
                "sqlite" => "the file catalog.db in the data folder must be readable and whole",
                _ => "check the URL, that the server runs, and that no other process owns it",
            };
            return findings.bad("catalog", error, mend);
        }
    };
    match catalog.check().await {
        Ok(()) => findings.good("catalog", &config.catalog)?,
        Err(fault) => findings.bad("catalog", fault, "look into the database's own log")?,
    }
    match catalog.intents_pending().await {
        Ok(intents) if intents.is_empty() => {}
        Ok(intents) => findings.good(
            "catalog",
            format!("{} decided changes will be carried out at the next start", intents.len()),
        )?,
        Err(fault) => findings.bad("catalog", fault, "look into the database's own log")?,
    }
    let channels = catalog.channels();
    match open_log(config, folder, channels).await {
        Ok(log) => match log.check().await {
            Ok(()) => {
                findings.good("log", format!("{}, {channels} channels", config.log))?;
                if let Some(notice) = log.notice() {
                    say(format!("note   log: {notice}"))?;
                }
            }
            Err(fault) => findings.bad("log", fault, "the text says what to change")?,
        },
        Err(error) => {
            let mend = match config.log.as_str() {
                "embedded" => "restore the folder `log` from a backup; nothing was deleted",
                _ => "check the URL and that the server runs with JetStream",
            };
            findings.bad("log", error, mend)?;
        }
    }
    match open_store(config, folder).await {
        Ok(_) => findings.good("store", &config.store)?,
        Err(error) => findings.bad("store", error, store_mend(config))?,
    }
    catalog.close().await;
    Ok(())
}
