//! `NatsUrl`: where the JetStream servers are and what the streams are called.

use std::str::FromStr;

use async_nats::ConnectOptions;
use millstream_catalog::model::{ChannelId, Fault};

/// `nats://[user:password@|token@]host:port[,host:port][?prefix=..&replicas=..]`.
///
/// `prefix` begins the names of the streams, `millstream` by default; `replicas` is the number of
/// copies that JetStream keeps of each, 1 by default.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsUrl {
    /// Addresses of the servers, without credentials.
    pub servers: Vec<String>,
    /// Begins the name of each stream.
    pub prefix: String,
    /// Copies of each stream.
    pub replicas: usize,
    login: Login,
}

#[derive(Clone, PartialEq, Eq)]
enum Login {
    Nobody,
    Token(String),
    User(String, String),
}

impl NatsUrl {
    /// The stream of a channel.
    pub fn stream(&self, channel: ChannelId) -> String {
        format!("{}_DML_{channel}", self.prefix)
    }

    /// The subject of a channel.
    pub fn subject(&self, channel: ChannelId) -> String {
        format!("{}.dml.{channel}", self.prefix)
    }

    pub(super) fn authenticate(&self, options: ConnectOptions) -> ConnectOptions {
        match &self.login {
            Login::Nobody => options,
            Login::Token(token) => options.token(token.clone()),
            Login::User(user, password) => {
                options.user_and_password(user.clone(), password.clone())
            }
        }
    }
}

impl FromStr for NatsUrl {
    type Err = Fault;

    fn from_str(text: &str) -> Result<NatsUrl, Fault> {
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let (scheme, address) = address.split_once("://").unwrap_or(("nats", address));
        if !matches!(scheme, "nats" | "tls") {
            return Err(Fault::expected("scheme of the log's address", "nats or tls", scheme));
        }
        let (login, hosts) = match address.rsplit_once('@') {
            None => (Login::Nobody, address),
            Some((login, hosts)) => match login.split_once(':') {
                Some((user, password)) => (Login::User(user.into(), password.into()), hosts),
                None => (Login::Token(login.into()), hosts),
            },
        };
        let hosts = hosts.trim_end_matches('/').split(',').map(str::trim);
        let servers: Vec<String> =
            hosts.filter(|h| !h.is_empty()).map(|h| format!("{scheme}://{h}")).collect();
        if servers.is_empty() {
            return Err(Fault::invalid("the log's address names no server"));
        }
        let mut url = NatsUrl { servers, prefix: "millstream".into(), replicas: 1, login };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("prefix", prefix) => {
                    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                    if prefix.is_empty() || !prefix.chars().all(good) {
                        let expected = "letters, digits, _ and -";
                        return Err(Fault::expected("prefix of the streams", expected, prefix));
                    }
                    url.prefix = prefix.into();
                }
                ("replicas", replicas) => {
                    let number = replicas.parse().ok().filter(|n| (1..=5).contains(n));
                    let error = || Fault::expected("replicas of the streams", "1 to 5", replicas);
                    url.replicas = number.ok_or_else(error)?;
                }
                (other, _) => {
                    let expected = "prefix or replicas";
                    return Err(Fault::expected("setting of the log's address", expected, other));
                }
            }
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_servers_login_prefix_and_replicas() {
        let url: NatsUrl = "nats://u:p%@a:1,b:2?prefix=x-1&replicas=3".parse().expect("good");
        assert_eq!(url.servers, ["nats://a:1", "nats://b:2"]);
        assert!(url.login == Login::User("u".into(), "p%".into()));
        assert_eq!((url.stream(ChannelId(2)), url.replicas), ("x-1_DML_2".into(), 3));
        assert_eq!(url.subject(ChannelId(2)), "x-1.dml.2");
        let url: NatsUrl = "tls://secret@a".parse().expect("good");
        assert!(url.login == Login::Token("secret".into()));
        assert_eq!((url.prefix.as_str(), url.replicas), ("millstream", 1));
    }

    #[test]
    fn a_wrong_address_is_refused_by_name() {
        let wrong = [
            ("http://a", "scheme"),
            ("nats://", "no server"),
            ("nats://a?prefix=a.b", "prefix"),
            ("nats://a?replicas=0", "replicas"),
            ("nats://a?color=red", "color"),
        ];
        for (text, word) in wrong {
            let fault = text.parse::<NatsUrl>().err().expect("refused");
            assert!(fault.message.contains(word), "{text}: {fault}");
        }
    }
}
