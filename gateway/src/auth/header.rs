//! Credentials as clients send them: `user:password` in base64, in the header `authorization`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tonic::Status;
use tonic::codegen::http::HeaderMap;
use tonic::codegen::http::header::AUTHORIZATION;

/// What a client without credentials is told.
pub(super) const MISSING: &str = "missing authorization in header";
const FORMAT: &str = "invalid token format";
const KEY: &str = "auth check failure, please check api key is correct";
/// Longest header that is looked at; a name and a password are at most 400 bytes in base64.
const LENGTH_MAX: usize = 2_048;

/// Who somebody says he is, and the proof.
pub struct Credentials {
    /// Name of the user.
    pub user: String,
    /// The password; any bytes.
    pub password: Vec<u8>,
}

impl Credentials {
    /// The credentials of a gRPC request.
    ///
    /// # Errors
    /// UNAUTHENTICATED, in Milvus's words.
    pub fn of(headers: &HeaderMap) -> Result<Credentials, Status> {
        let Some(value) = headers.get(AUTHORIZATION) else {
            return Err(Status::unauthenticated(MISSING));
        };
        let raw = decoded(value.as_bytes()).ok_or_else(|| Status::unauthenticated(FORMAT))?;
        Credentials::parse(&raw).ok_or_else(|| Status::unauthenticated(KEY))
    }

    /// The credentials of a plain HTTP request: `Basic` with base64, or `Bearer user:password`.
    pub fn of_http(headers: &HeaderMap) -> Option<Credentials> {
        let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
        match value.split_once(' ')? {
            ("Basic", rest) => Credentials::parse(&decoded(rest.trim().as_bytes())?),
            ("Bearer", rest) => Credentials::parse(rest.trim().as_bytes()),
            _ => None,
        }
    }

    /// Name and password around the first colon; what has none is a key, and there are no keys.
    fn parse(raw: &[u8]) -> Option<Credentials> {
        let colon = raw.iter().position(|byte| *byte == b':')?;
        // A name that is no text is nobody's.
        let user = String::from_utf8_lossy(&raw[..colon]).into_owned();
        Some(Credentials { user, password: raw[colon + 1..].to_vec() })
    }
}

fn decoded(value: &[u8]) -> Option<Vec<u8>> {
    if value.len() > LENGTH_MAX {
        return None;
    }
    STANDARD.decode(value).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tonic::Code;
    use tonic::codegen::http;

    use super::*;

    fn of(value: &[u8]) -> Result<Credentials, Status> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, http::HeaderValue::from_bytes(value).unwrap());
        Credentials::of(&headers)
    }

    fn refusal(value: &[u8]) -> String {
        let status = of(value).err().expect("a refusal");
        assert_eq!(status.code(), Code::Unauthenticated);
        status.message().to_owned()
    }

    #[test]
    fn a_name_ends_at_the_first_colon() {
        let found = of(STANDARD.encode("root:Mil:vus").as_bytes()).ok().unwrap();
        assert_eq!((&*found.user, &*found.password), ("root", &b"Mil:vus"[..]));
    }

    #[test]
    fn what_is_no_credential_is_refused_in_the_words_that_clients_know() {
        let none = Credentials::of(&HeaderMap::new()).err().unwrap();
        assert_eq!(none.message(), "missing authorization in header");
        assert_eq!(refusal(b"root:Milvus"), "invalid token format");
        assert_eq!(refusal(b"Basic cm9vdDpNaWx2dXM="), "invalid token format");
        assert_eq!(refusal(b"cm9vdDpNaWx2dXM"), "invalid token format", "without padding");
        assert_eq!(refusal("\u{e9}".as_bytes()), "invalid token format");
        assert_eq!(refusal(&[b'A'; 4_096]), "invalid token format");
        assert_eq!(refusal(b""), "auth check failure, please check api key is correct");
        let key = STANDARD.encode("an api key");
        assert!(refusal(key.as_bytes()).contains("api key"));
    }

    #[test]
    fn plain_http_has_two_forms() {
        for good in ["Basic cm9vdDpNaWx2dXM=", "Bearer root:Milvus"] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, http::HeaderValue::from_str(good).unwrap());
            let found = Credentials::of_http(&headers).unwrap();
            assert_eq!((&*found.user, &*found.password), ("root", &b"Milvus"[..]));
        }
        assert!(Credentials::of_http(&HeaderMap::new()).is_none());
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_or_refused(value in prop::collection::vec(32_u8..127, 0..200)) {
            if let Ok(found) = of(&value) {
                let raw = STANDARD.decode(&value).unwrap();
                prop_assert!(raw.ends_with(&found.password));
            }
        }

        #[test]
        fn what_was_sent_comes_back(user in "[a-z]{1,8}", password in ".{0,40}") {
            let sent = STANDARD.encode(format!("{user}:{password}"));
            let found = of(sent.as_bytes()).ok().unwrap();
            prop_assert_eq!(found.user, user);
            prop_assert_eq!(found.password, password.into_bytes());
        }
    }
}
