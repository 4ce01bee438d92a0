//! A `millstream` process of our own: started on free ports with an empty data folder, stopped at
//! the end.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::{Client, Failure};
use crate::process::{cpu_seconds, resident_bytes};

/// How long a server may take until it accepts connections.
const START_MAX: Duration = Duration::from_secs(60);

/// How servers of a run are started.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The program.
    pub binary: PathBuf,
    /// Where data folders are made; on the disk that is to be measured.
    pub parent: PathBuf,
    /// Options added to the command line.
    pub extra: Vec<String>,
}

impl Setup {
    /// The program that lies beside this one, where cargo puts it.
    pub fn default_binary() -> PathBuf {
        let own = std::env::current_exe().unwrap_or_default();
        let folder = own.parent().and_then(Path::parent).unwrap_or(Path::new("."));
        folder.join("millstream")
    }
}

/// A running server.
pub struct Server {
    setup: Setup,
    folder: TempDir,
    child: Child,
    listen: String,
}

impl Server {
    /// Starts a server on an empty data folder, and waits until it accepts a connection.
    ///
    /// # Errors
    /// If it cannot be started, ends by itself, or does not listen within a minute.
    pub async fn start(setup: &Setup) -> Result<Server, Failure> {
        if !setup.binary.exists() {
            let binary = setup.binary.display();
            let text = format!("no {binary}: run `cargo build --release` or give --server PATH");
            return Err(Failure::Setup(text));
        }
        let folder = TempDir::new_in(&setup.parent)?;
        let (child, listen) = spawn(setup, folder.path())?;
        let mut server = Server { setup: setup.clone(), folder, child, listen };
        server.connect().await?;
        Ok(server)
    }

    /// A new connection, as soon as the server accepts one.
    ///
    /// # Errors
    /// If the server has ended or does not listen within a minute.
    pub async fn connect(&mut self) -> Result<Client, Failure> {
        let began = Instant::now();
        loop {
            match Client::connect(&self.listen).await {
                Ok(client) => return Ok(client),
                Err(error) if began.elapsed() > START_MAX => return Err(error),
                Err(_) => {}
            }
            if let Some(status) = self.child.try_wait()? {
                let output = std::fs::read_to_string(self.folder.path().join("output"));
                let text = format!("the server ended: {status}\n{}", output.unwrap_or_default());
                return Err(Failure::Setup(text));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Kills the process (SIGKILL) and starts another on the same data.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn kill_and_restart(&mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        (self.child, self.listen) = spawn(&self.setup, self.folder.path())?;
        Ok(())
    }

    /// The data folder's file system is the one to compare disk writes with.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// CPU seconds used so far.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds(self.child.id())
    }

    /// Resident memory in MiB.
    pub fn resident_mib(&self) -> f64 {
        resident_bytes(self.child.id()) as f64 / f64::from(1 << 20)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the program on free ports; its output goes to a file in the folder.
fn spawn(setup: &Setup, folder: &Path) -> io::Result<(Child, String)> {
    let (listen, admin) = (free_address()?, free_address()?);
    let output = File::create(folder.join("output"))?;
    let child = Command::new(&setup.binary)
        .arg("standalone")
        .arg("--data-dir")
        .arg(folder.join("data"))
        .args(["--listen", &listen, "--admin-listen", &admin])
        .args(&setup.extra)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()?;
    Ok((child, listen))
}

/// An address of this machine that nobody listens on.
fn free_address() -> io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
