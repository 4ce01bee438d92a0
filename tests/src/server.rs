//! A running `millstream`: started, waited for, stopped gently or not, and started again.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use millstream_catalog::fail;
use rustix::process::Signal;

use crate::process::{Process, binary, free_address};

/// How long a server may take to answer its first health check.
pub const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a server may take to end after SIGTERM.
pub const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A running server.
#[derive(Debug)]
pub struct Server {
    process: Process,
    arguments: Vec<String>,
    /// The file that says which fail point is armed.
    armed: Option<PathBuf>,
    /// The gRPC address.
    pub address: SocketAddr,
    /// The address of health checks and metrics.
    pub admin: SocketAddr,
}

impl Server {
    /// Starts `millstream standalone` with these arguments on free ports and waits until it is
    /// healthy. Its output goes to `millstream.log` in the folder.
    ///
    /// # Errors
    /// When it does not come up; the text has what it printed.
    pub fn start(folder: &Path, arguments: &[String]) -> io::Result<Server> {
        Server::start_with(folder, arguments, None)
    }

    /// The same; `armed` is a file that says which fail point is armed, whenever it is there.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(
        folder: &Path,
        arguments: &[String],
        armed: Option<PathBuf>,
    ) -> io::Result<Server> {
        let mut last = None;
        for _ in 0..3 {
            let (address, admin) = (free_address()?, free_address()?);
            match launch(folder, arguments, armed.as_deref(), (address, admin)) {
                Ok(process) => {
                    let arguments = arguments.to_vec();
                    return Ok(Server { process, arguments, armed, address, admin });
                }
                // Another process may have taken the port meanwhile.
                Err(error) if error.to_string().contains("in use") => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::other("no attempt was made")))
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM; waits for the end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn stop(&mut self) -> io::Result<ExitStatus> {
        self.process.signal(Signal::TERM)?;
        self.process.wait(STOP_LIMIT)
    }

    /// Starts it again on the same addresses and data, killing it first if it still runs.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart(&mut self, folder: &Path) -> io::Result<()> {
        self.process.kill();
        let places = (self.address, self.admin);
        self.process = launch(folder, &self.arguments, self.armed.as_deref(), places)?;
        Ok(())
    }

    /// What it printed.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

/// Starts a server and waits until it is healthy.
fn launch(
    folder: &Path,
    arguments: &[String],
    armed: Option<&Path>,
    (address, admin): (SocketAddr, SocketAddr),
) -> io::Result<Process> {
    let mut command = command(folder)?;
    if let Some(file) = armed {
        command.env(fail::VARIABLE, format!("@{}", file.display()));
    }
    command.arg("standalone").args(["--listen", &address.to_string()]);
    command.args(["--admin-listen", &admin.to_string()]).args(arguments);
    let mut process = Process::start(&mut command, &folder.join("millstream.log"))?;
    let end = Instant::now() + START_LIMIT;
    // By TLS it is not asked: the line that it prints then has to do.
    let tls = arguments.iter().any(|argument| argument == "--admin-tls");
    let ready = |process: &Process| match tls {
        true => process.output().contains("millstream is ready"),
        false => healthy(admin),
    };
    while !ready(&process) {
        if let Some(status) = process.ended() {
            let text = format!("the server ended with {status}:\n{}", process.output());
            return Err(io::Error::other(text));
        }
        if Instant::now() > end {
            let text = format!("not healthy after {START_LIMIT:?}:\n{}", process.output());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(process)
}

/// The server's command in a folder, without the settings of whoever runs the tests.
///
/// # Errors
/// When there is no server to run.
pub fn command(folder: &Path) -> io::Result<Command> {
    let mut command = Command::new(binary()?);
    command.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        let ours = name.to_string_lossy();
        if ours.starts_with("MILLSTREAM_") {
            command.env_remove(&name);
        }
    }
    // Any will do for the tests' own bucket.
    command.env("AWS_ACCESS_KEY_ID", "id").env("AWS_SECRET_ACCESS_KEY", "secret");
    Ok(command)
}

/// Whether `/healthz` answers 200.
pub fn healthy(admin: SocketAddr) -> bool {
    get(admin, "/healthz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// A plain HTTP GET; returns the head and the body.
///
/// # Errors
/// When the server cannot be reached or says nothing for five seconds.
pub fn get(admin: SocketAddr, path: &str) -> io::Result<String> {
    request(admin, "GET", path)
}

/// A plain HTTP request without a body; returns the head and the body.
///
/// # Errors
/// When the server cannot be reached or says nothing for five seconds.
pub fn request(admin: SocketAddr, method: &str, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&admin, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
