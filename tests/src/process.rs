//! Child processes: started with their output in a file, and never left behind.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io};

use rustix::process::{Pid, Signal, kill_process};

/// A running child; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: PathBuf,
}

impl Process {
    /// Starts a command with its output appended to a file.
    ///
    /// # Errors
    /// When the file cannot be opened or the command cannot be started.
    pub fn start(command: &mut Command, output: &Path) -> io::Result<Process> {
        let file = File::options().create(true).append(true).open(output)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{command:?}: {error}")))?;
        Ok(Process { child, output: output.to_owned() })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything the process and its predecessors at the same file printed.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        // Fails only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let id = id.ok_or_else(|| io::Error::other("not a process id"))?;
        Ok(kill_process(id, signal)?)
    }

    /// Waits for the end, up to a limit.
    ///
    /// # Errors
    /// When it still runs after the limit.
    pub fn wait(&mut self, limit: Duration) -> io::Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > end {
                let text = format!("still running after {limit:?}; it printed:\n{}", self.output());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let text = self.output();
            let from = text.len().saturating_sub(4_000);
            let from = (from..text.len()).find(|&i| text.is_char_boundary(i)).unwrap_or(0);
            eprintln!("--- end of {}:\n{}", self.output.display(), &text[from..]);
        }
    }
}

/// A loopback address with a port that is free now.
///
/// # Errors
/// When the system has no free port.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// A setting that `tests/run` exports.
///
/// # Errors
/// When it is missing; the text says how to get it.
pub fn setting(name: &str) -> io::Result<String> {
    env::var(name).map_err(|_| {
        io::Error::other(format!("{name} is not set: run the tests through tests/run"))
    })
}

/// The server under test: `MILLSTREAM_TEST_BINARY`, or the one built beside this test program.
///
/// # Errors
/// When there is none.
pub fn binary() -> io::Result<PathBuf> {
    if let Some(path) = env::var_os("MILLSTREAM_TEST_BINARY") {
        return Ok(path.into());
    }
    let program = env::current_exe()?;
    let beside = program.parent().and_then(Path::parent).map(|dir| dir.join("millstream"));
    beside.filter(|path| path.is_file()).ok_or_else(|| {
        io::Error::other("no millstream beside the tests: run cargo build --workspace --release")
    })
}
