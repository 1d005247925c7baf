//! Serving HTTP/1.1 on a listener until told to stop, within limits that a stranger's client cannot stretch.

mod hurry;

use std::convert::Infallible;
use std::error::Error as _;
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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::hurry::Hurry;

/// What one server grants its clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections served at once; others wait in the listener's backlog.
    pub connections: usize,
    /// Time for a connection's handshake, for a request's head to arrive, and for which an idle connection is kept.
    pub header_read: Duration,
    /// Time in which a client takes an answer.
    pub write: Duration,
    /// Bytes buffered for a request's head.
    pub buffer: usize,
    /// Time that requests in progress get at shutdown.
    pub grace: Duration,
}

/// What becomes of a connection before HTTP is spoken on it.
pub trait Accept: Send + Sync + 'static {
    /// What HTTP is spoken on.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Shakes hands; none if the client is refused, which has been counted.
    fn accept(&self, stream: TcpStream) -> impl Future<Output = Option<Self::Stream>> + Send;

    /// A client was refused by a limit.
    fn trouble(&self, trouble: Trouble);
}

/// The limit by which a client was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It took too long.
    Slow,
    /// Its request's head is too large.
    HeadSize,
}

/// Waits after an `accept` that failed, so that running out of file descriptors is no busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `listener` with `handler` until `shutdown` resolves; then lets requests in progress end.
pub async fn serve<A, H, F>(
    listener: TcpListener,
    limits: Limits,
    acceptor: Arc<A>,
    handler: H,
    shutdown: impl Future<Output = ()>,
) where
    A: Accept,
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let graceful = GracefulShutdown::new();
    let closing = CancellationToken::new();
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
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(limits.header_read)
            .max_buf_size(limits.buffer)
            // A client that closes its sending half after the request still gets its answer.
            .half_close(true);
        let (acceptor, watcher) = (Arc::clone(&acceptor), graceful.watcher());
        let closing = closing.clone();
        tokio::spawn(async move {
            let shaken = tokio::select! {
                () = closing.cancelled() => return,
                shaken = tokio::time::timeout(limits.header_read, acceptor.accept(stream)) => shaken,
            };
            let stream = match shaken {
                Ok(Some(stream)) => Hurry::new(stream, limits.write),
                Ok(None) => return,
                Err(_) => return acceptor.trouble(Trouble::Slow),
            };
            let owes = stream.owes();
            let connection = http.serve_connection(TokioIo::new(stream), service);
            if let Err(error) = watcher.watch(connection).await {
                debug!(%error, "A connection ended with an error.");
                if let Some(trouble) = Trouble::of(&error, owes()) {
                    acceptor.trouble(trouble);
                }
            }
            drop(permit);
        });
    }
    closing.cancel();
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
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
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

// === impl Trouble ===

impl Trouble {
    fn of(error: &hyper::Error, owes: bool) -> Option<Self> {
        let io: Option<&io::Error> = error.source().and_then(|source| source.downcast_ref());
        let is_late = io.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
        if error.is_parse_too_large() {
            Some(Self::HeadSize)
        } else if is_late || error.is_timeout() && owes {
            Some(Self::Slow)
        } else {
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
    use std::sync::Mutex;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    use super::*;

    const LIMITS: Limits = Limits {
        connections: 1,
        header_read: Duration::from_secs(10),
        write: Duration::from_secs(30),
        buffer: 8 * 1024,
        grace: Duration::from_secs(5),
    };

    /// Shakes no hands, and remembers trouble.
    #[derive(Default)]
    struct Plain(Mutex<Vec<Trouble>>);

    impl Accept for Plain {
        type Stream = TcpStream;

        async fn accept(&self, stream: TcpStream) -> Option<TcpStream> {
            Some(stream)
        }

        fn trouble(&self, trouble: Trouble) {
            self.0.lock().unwrap().push(trouble);
        }
    }

    /// Serves `body` at an address.
    async fn served(body: Bytes) -> (std::net::SocketAddr, Arc<Plain>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let plain = Arc::new(Plain::default());
        let handler = move |_| {
            let body = body.clone();
            async { Response::new(Full::new(body)) }
        };
        tokio::spawn(serve(
            listener,
            LIMITS,
            Arc::clone(&plain),
            handler,
            std::future::pending(),
        ));
        (address, plain)
    }

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
        let (address, _) = served(Bytes::from_static(b"here")).await;
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

    #[tokio::test(start_paused = true)]
    async fn who_does_not_take_an_answer_is_left_behind() {
        let (address, plain) = served(Bytes::from(vec![b'x'; 64 << 20])).await;
        let mut idler = ask(address).await;
        // Its turn comes when the idler's connection is closed.
        let mut next = ask(address).await;
        let mut byte = [0; 1];
        timeout(Duration::from_mins(1), next.read_exact(&mut byte))
            .await
            .expect("the idler is gone")
            .unwrap();
        assert_eq!(*plain.0.lock().unwrap(), [Trouble::Slow]);
        let mut rest = Vec::new();
        // What was on its way still comes, and then the end or a reset.
        drop(idler.read_to_end(&mut rest).await);
        assert!(rest.len() < 64 << 20);
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused_and_told() {
        let (address, plain) = served(Bytes::new()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "GET / HTTP/1.1\r\nhost: a\r\nx: {}",
            "a".repeat(LIMITS.buffer)
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut reply = [0; 12];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(&reply, b"HTTP/1.1 431");
        drop(stream);
        // One connection at a time: this one is served after the other has ended.
        ask(address).await.read_exact(&mut reply).await.unwrap();
        assert_eq!(*plain.0.lock().unwrap(), [Trouble::HeadSize]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_rests_after_its_answer_is_closed_and_no_trouble() {
        let (address, plain) = served(Bytes::from_static(b"here")).await;
        let mut scraper = ask(address).await;
        let mut answer = Vec::new();
        let closed = timeout(Duration::from_mins(1), scraper.read_to_end(&mut answer)).await;
        closed.expect("it is closed").unwrap();
        assert!(answer.ends_with(b"here"));
        let mut beginner = TcpStream::connect(address).await.unwrap();
        beginner.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        drop(
            timeout(Duration::from_mins(1), beginner.read_to_end(&mut answer))
                .await
                .unwrap(),
        );
        ask(address).await.read_exact(&mut [0]).await.unwrap();
        assert_eq!(
            *plain.0.lock().unwrap(),
            [Trouble::Slow],
            "of the second only"
        );
    }

    /// Waits for a handshake that never comes, and tells of the trouble.
    struct Deaf(tokio::sync::mpsc::Sender<Trouble>);

    impl Accept for Deaf {
        type Stream = TcpStream;

        async fn accept(&self, _: TcpStream) -> Option<TcpStream> {
            std::future::pending().await
        }

        fn trouble(&self, trouble: Trouble) {
            self.0.try_send(trouble).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_has_its_time_and_holds_up_no_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, mut told) = tokio::sync::mpsc::channel(1);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let handler = |_| async { Response::new(Full::new(Bytes::new())) };
        let shutdown = async {
            _ = stopped.await;
        };
        let serving = tokio::spawn(serve(
            listener,
            LIMITS,
            Arc::new(Deaf(sender)),
            handler,
            shutdown,
        ));
        let _first = TcpStream::connect(address).await.unwrap();
        assert_eq!(told.recv().await, Some(Trouble::Slow));
        let _second = TcpStream::connect(address).await.unwrap();
        let started = tokio::time::Instant::now();
        stop.send(()).unwrap();
        serving.await.unwrap();
        assert!(started.elapsed() < LIMITS.grace);
    }
}
