//! A server of our own that speaks S3, with one bucket; what it holds goes with it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Process, free_address, setting};

const NAME: &str = "sealed";
const START_LIMIT: Duration = Duration::from_secs(60);

/// The server and its bucket.
#[derive(Debug)]
pub struct Bucket {
    address: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl Bucket {
    /// Starts the server and makes the bucket.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start() -> io::Result<Bucket> {
        let program = setting("MILLSTREAM_TEST_S3_SERVER")?;
        let (folder, address) = (TempDir::with_prefix("millstream-test-s3-")?, free_address()?);
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
        let process = Process::start(&mut command, &folder.path().join("s3.log"))?;
        let mut bucket = Bucket { address, process, _folder: folder };
        let end = Instant::now() + START_LIMIT;
        while TcpStream::connect(address).is_err() {
            if bucket.process.ended().is_some() || Instant::now() > end {
                return Err(io::Error::other(bucket.process.output()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bucket.ask("PUT", &format!("/{NAME}"))?;
        Ok(bucket)
    }

    /// The arguments by which a server keeps its rows here.
    pub fn arguments(&self) -> [String; 4] {
        let (store, endpoint) = (format!("s3://{NAME}/rows"), format!("http://{}", self.address));
        ["--store".to_owned(), store, "--s3-endpoint".to_owned(), endpoint]
    }

    /// The names of the objects in it, but for the one that names the cluster.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn objects(&self) -> io::Result<Vec<String>> {
        let listed = self.ask("GET", &format!("/{NAME}?list-type=2"))?;
        let keys = listed.split("<Key>").skip(1);
        let keys = keys.filter_map(|key| key.split_once("</Key>")).map(|(key, _)| key.to_owned());
        Ok(keys.filter(|key| !key.ends_with("/CLUSTER")).collect())
    }

    /// Makes an object without contents.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn put(&self, name: &str) -> io::Result<()> {
        self.ask("PUT", &format!("/{NAME}/{name}")).map(drop)
    }

    /// Lets it answer nobody until [`Bucket::go_on`].
    ///
    /// # Errors
    /// When the process is not there.
    pub fn pause(&self) -> io::Result<()> {
        self.process.signal(Signal::STOP)
    }

    /// Lets it answer again.
    ///
    /// # Errors
    /// When the process is not there.
    pub fn go_on(&self) -> io::Result<()> {
        self.process.signal(Signal::CONT)
    }

    fn ask(&self, method: &str, path: &str) -> io::Result<String> {
        let mut connection = TcpStream::connect(self.address)?;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n");
        write!(connection, "{head}Connection: close\r\n\r\n")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        if !answer.starts_with("HTTP/1.1 200") {
            return Err(io::Error::other(answer));
        }
        Ok(answer)
    }
}
