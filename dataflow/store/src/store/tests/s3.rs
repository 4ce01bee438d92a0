//! The store in a bucket of a server that speaks S3's protocol.
//!
//! `MILLSTREAM_TEST_S3_SERVER` is the path of a moto_server; without it the test of a server says so
//! and does nothing.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

struct Server {
    port: u16,
    child: Child,
}

impl Server {
    /// A server on a free port; `None` when there is no program to run.
    fn new() -> Option<Server> {
        let Ok(program) = std::env::var("MILLSTREAM_TEST_S3_SERVER") else {
            eprintln!("MILLSTREAM_TEST_S3_SERVER is not set: not testing S3");
            return None;
        };
        let port = free_port();
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Some(Server { port, child: command.spawn().unwrap() })
    }

    /// Creates a bucket as soon as the server is there.
    fn bucket(&self, name: &str) {
        let begun = Instant::now();
        let mut connection = loop {
            match TcpStream::connect(("127.0.0.1", self.port)) {
                Ok(connection) => break connection,
                Err(e) if begun.elapsed().as_secs() > 30 => panic!("the server is not there: {e}"),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        let head = format!("PUT /{name} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n");
        write!(connection, "{head}Connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        assert!(killed.is_ok(), "the server ends");
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn options(port: u16, folder: &TempDir) -> StoreOptions {
    StoreOptions {
        cache_dir: Some(folder.path().to_owned()),
        cache_bytes_max: 64 << 20,
        s3: S3Options {
            endpoint: Some(format!("http://127.0.0.1:{port}")),
            region: None,
            key: Some(("id".to_owned(), "secret".to_owned())),
        },
    }
}

#[test]
fn a_bucket_is_a_store_like_any_other() {
    let Some(server) = Server::new() else { return };
    server.bucket("sealed");
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_with("s3://sealed/some/place", &options(server.port, &folder)).unwrap();
    let mut files = Vec::new();
    // One request, exactly one part, and several parts.
    for length in [0, 5, 16 << 20, (40 << 20) + 7] {
        let contents: Vec<u8> = (0..length).map(|place: usize| (place % 249) as u8).collect();
        let file = put(&store, &format!("c1/s{length}.arrow"), &contents).unwrap();
        fs::remove_file(folder.path().join(&file.name)).unwrap();
        assert!(store.open_file(&file, Access::Mapped).unwrap() == contents);
        let again = put(&store, &file.name, &contents).unwrap_err();
        assert!(matches!(again, StoreError::Exists { .. }), "{again}");
        files.push(file);
    }
    assert!(store.cached_bytes() <= 64 << 20);
    let listed = store.list_files("c1/s").unwrap();
    let mut expected: Vec<_> =
        files.iter().map(|file| FileInfo { name: file.name.clone(), bytes: file.bytes }).collect();
    expected.sort_unstable();
    assert_eq!(listed, expected);
    assert!(names(&store, "c2").is_empty());
    for file in &files {
        store.delete_file(&file.name).unwrap();
        store.delete_file(&file.name).unwrap();
        let missing = store.open_file(file, Access::Mapped).unwrap_err();
        assert!(matches!(missing, StoreError::Missing { .. }), "{missing}");
    }
    assert!(names(&store, "").is_empty());
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_with("s3://bucket", &options(free_port(), &folder)).unwrap();
    let error = put(&store, "a/1", b"contents").unwrap_err();
    assert!(matches!(&error, StoreError::Remote { name, .. } if name == "a/1"), "{error}");
    assert!(error.to_string().starts_with("a/1: the object store: "), "{error}");
}
