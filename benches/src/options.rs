//! Command-line options of a benchmark: `--name value` pairs, and what cargo adds.

use std::str::FromStr;

use crate::report::note;

/// Options still to be read.
#[derive(Debug)]
pub struct Options {
    usage: &'static str,
    args: Vec<String>,
}

impl Options {
    /// The arguments of this process; `--help` prints `usage` and ends it.
    pub fn from_args(usage: &'static str) -> Options {
        // `cargo bench` adds `--bench`.
        let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
        let options = Options { usage, args };
        if options.args.iter().any(|a| a == "--help") {
            options.stop(0);
        }
        options
    }

    /// The text after `name`, if it is there.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let at = self.args.iter().position(|a| a == name)?;
        if at + 1 == self.args.len() {
            self.stop(2);
        }
        let value = self.args.remove(at + 1);
        self.args.remove(at);
        Some(value)
    }

    /// The number after `name`, or `default`.
    pub fn number<T: FromStr>(&mut self, name: &str, default: T) -> T {
        match self.text(name).map(|text| text.parse()) {
            None => default,
            Some(Ok(number)) => number,
            Some(Err(_)) => self.stop(2),
        }
    }

    /// Ends the process with the usage if anything is left.
    pub fn finish(self) {
        if !self.args.is_empty() {
            self.stop(2);
        }
    }

    fn stop(&self, status: i32) -> ! {
        note(&format!("usage: {}", self.usage));
        std::process::exit(status)
    }
}
