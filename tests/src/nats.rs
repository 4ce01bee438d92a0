//! A nats-server of our own, with the settings that the log needs.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::{Process, free_address, setting};

/// A running nats-server with JetStream, syncing every write.
#[derive(Debug)]
pub struct Nats {
    program: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
    process: Process,
}

impl Nats {
    /// Starts one that keeps its data in a folder.
    ///
    /// # Errors
    /// When `MILLSTREAM_TEST_NATS_SERVER` is not set or the server does not come up.
    pub fn start(folder: &Path) -> io::Result<Nats> {
        let program = PathBuf::from(setting("MILLSTREAM_TEST_NATS_SERVER")?);
        std::fs::create_dir_all(folder)?;
        let mut last = None;
        for _ in 0..5 {
            let address = free_address()?;
            match launch(&program, folder, address) {
                Ok(process) => {
                    return Ok(Nats { program, folder: folder.to_owned(), address, process });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::other("no attempt was made")))
    }

    /// Its address for `--log`.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, at the same address and on the same data.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart(&mut self) -> io::Result<()> {
        self.process.kill();
        self.process = launch(&self.program, &self.folder, self.address)?;
        Ok(())
    }
}

/// Writes the settings, starts the server and waits until it accepts connections.
fn launch(program: &Path, folder: &Path, address: SocketAddr) -> io::Result<Process> {
    let settings = folder.join("nats.conf");
    let store = folder.join("store");
    let text = format!(
        "listen: \"{address}\"\nmax_payload: 2MB\nmax_pending: 256MB\n\
         jetstream {{ store_dir: {store:?}, sync_interval: always }}\n"
    );
    std::fs::write(&settings, text)?;
    let mut process =
        Process::start(Command::new(program).arg("-c").arg(&settings), &folder.join("nats.log"))?;
    let end = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(address).is_err() {
        if process.ended().is_some() || Instant::now() > end {
            let text = format!("nats-server did not come up:\n{}", process.output());
            return Err(io::Error::other(text));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(process)
}
