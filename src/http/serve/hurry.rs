//! A stream whose other side must take what is written to it in time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Writing to it fails once what was written has waited for too long; what is read is not looked at.
pub(super) struct Hurry<S> {
    stream: S,
    limit: Duration,
    /// Whether a request is owed: from the start or its first byte until an answer begins.
    owes: Arc<AtomicBool>,
    /// From the first write that had to wait until everything is flushed.
    deadline: Option<Pin<Box<Sleep>>>,
}

// === impl Hurry ===

impl<S> Hurry<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            owes: Arc::new(AtomicBool::new(true)),
            deadline: None,
        }
    }

    /// Tells, also once the stream is gone, whether the client owed a request: one that rests after an answer does not.
    pub(super) fn owes(&self) -> impl Fn() -> bool + use<S> {
        let owes = Arc::clone(&self.owes);
        move || owes.load(Ordering::Relaxed)
    }

    /// `poll`, or an error where it waits and the time is over.
    fn or_late<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            return poll;
        }
        let limit = self.limit;
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        deadline.as_mut().poll(context).map(|()| {
            let text = "the client did not take the answer in time";
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Hurry<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.owes.store(true, Ordering::Relaxed);
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Hurry<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.owes.store(false, Ordering::Relaxed);
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.or_late(context, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.owes.store(false, Ordering::Relaxed);
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.or_late(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        if poll.is_ready() {
            self.deadline = None;
        }
        self.or_late(context, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(context);
        self.or_late(context, poll)
    }
}
