//! Serving HTTP/1.1 on a listener until told to stop, within limits that a stranger's client cannot stretch.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

/// What one server grants its clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections served at once; others wait in the listener's backlog.
    pub connections: usize,
    /// Time for a request's head to arrive, and for which an idle connection is kept.
    pub header_read: Duration,
    /// Bytes buffered for a request's head.
    pub buffer: usize,
    /// Time that requests in progress get at shutdown.
    pub grace: Duration,
}

/// Waits after an `accept` that failed, so that running out of file descriptors is no busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `listener` with `handler` until `shutdown` resolves; then lets requests in progress end.
pub async fn serve<H, F>(
    listener: TcpListener,
    limits: Limits,
    handler: H,
    shutdown: impl Future<Output = ()>,
) where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(limits.connections));
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let Some((stream, permit)) = accepted else {
            tokio::select! {
                () = &mut shutdown => break,
                () = tokio::time::sleep(ACCEPT_PAUSE) => continue,
            }
        };
        let handler = handler.clone();
        let service = service_fn(move |request| {
            let answer = handler(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_read)
            .max_buf_size(limits.buffer)
            // A client that closes its sending half after the request still gets its answer.
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "A connection ended with an error.");
            }
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.grace, graceful.shutdown())
        .await
        .is_err()
    {
        debug!("Requests were still in progress at the end of the grace period.");
    }
}

/// The next connection with a permit to serve it; none if accepting failed.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) if is_of_one_connection(&error) => {
            debug!(%error, "A connection was gone before it was accepted.");
            None
        }
        Err(error) => {
            warn!(%error, "Could not accept a connection.");
            None
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;

    const LIMITS: Limits = Limits {
        connections: 1,
        header_read: Duration::from_secs(10),
        buffer: 8 * 1024,
        grace: Duration::from_secs(5),
    };

    async fn ask(address: std::net::SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        stream
    }

    #[tokio::test(start_paused = true)]
    async fn connections_above_the_cap_wait_for_their_turn() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let handler = |_| async { Response::new(Full::new(Bytes::from_static(b"here"))) };
        tokio::spawn(serve(listener, LIMITS, handler, std::future::pending()));

        let mut byte = [0; 1];
        let mut first = ask(address).await;
        first.read_exact(&mut byte).await.unwrap();
        let mut second = ask(address).await;
        let early = timeout(Duration::from_secs(1), second.read_exact(&mut byte)).await;
        assert!(early.is_err(), "served beside the first");
        drop(first);
        timeout(Duration::from_secs(1), second.read_exact(&mut byte))
            .await
            .expect("its turn has come")
            .unwrap();
    }
}
