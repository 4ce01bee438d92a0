//! Changes in the name of a client's request: they are noted with the request, in one transaction.
//!
//! A client that hears no answer repeats its request, under the same id. What a change in the name
//! of that request did is done already then, and is not done again; whether it was is asked with
//! [`crate::catalog::Catalog::request_done`]. Ids are the clients' own, and some use one for many
//! requests: of each id only the last request is noted.

use std::cell::RefCell;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures::future::poll_fn;

/// How long a request may be repeated, in milliseconds.
pub const REPEATED_MS: u64 = 600_000;
/// The most requests that are noted at once; the oldest ones go.
pub const REQUESTS_MAX: usize = 4_096;

/// A request of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRequest {
    /// Who asked, and under what id.
    pub client: String,
    /// What was asked for.
    pub digest: String,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<ClientRequest>>> = const { RefCell::new(None) };
}

/// Puts back what was there when it is dropped.
struct Restore(Option<Arc<ClientRequest>>);

impl Restore {
    fn after(request: Option<Arc<ClientRequest>>) -> Restore {
        Restore(CURRENT.replace(request))
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Does some work in the name of a request: its last change of the catalog is noted with it.
pub async fn within<T>(request: Arc<ClientRequest>, work: impl Future<Output = T>) -> T {
    under(Some(request), work).await
}

/// Does a part of some work that is not the last change of it.
pub async fn apart<T>(work: impl Future<Output = T>) -> T {
    under(None, work).await
}

/// Does some work in the name of a request, or of none: what [`current`] said elsewhere goes with it
/// into another task.
pub async fn under<T>(request: Option<Arc<ClientRequest>>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(move |context| -> Poll<T> {
        let _restore = Restore::after(request.clone());
        work.as_mut().poll(context)
    })
    .await
}

/// The request in whose name the current task works.
pub fn current() -> Option<Arc<ClientRequest>> {
    CURRENT.with_borrow(Clone::clone)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::executor::block_on;

    use super::*;

    fn request(client: &str) -> Arc<ClientRequest> {
        Arc::new(ClientRequest { client: client.into(), digest: String::new() })
    }

    fn name() -> Option<String> {
        current().map(|request| request.client.clone())
    }

    #[test]
    fn work_knows_its_request_and_nobody_else_does() {
        let yields = || {
            let mut first = true;
            poll_fn(move |context| {
                if !std::mem::take(&mut first) {
                    return Poll::Ready(());
                }
                context.waker().wake_by_ref();
                Poll::Pending
            })
        };
        let work = || async {
            let before = name();
            let inner = apart(async {
                yields().await;
                name()
            });
            (before, inner.await, name())
        };
        let (mut a, mut b) =
            (Box::pin(within(request("a"), work())), Box::pin(within(request("b"), work())));
        assert!((&mut a).now_or_never().is_none() && (&mut b).now_or_never().is_none());
        assert_eq!(name(), None);
        assert_eq!(block_on(b), (Some("b".into()), None, Some("b".into())));
        assert_eq!(block_on(a), (Some("a".into()), None, Some("a".into())));
    }
}
