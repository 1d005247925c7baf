//! What everything that speaks HTTP shares.

pub mod serve;

use http_body::Body;
use http_body_util::BodyExt as _;

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError<E> {
    /// It is longer than the limit.
    #[error("the body is longer than the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// It did not arrive whole.
    #[error("the body did not arrive whole")]
    Broken(#[source] E),
}

/// Reads a body of at most `limit` bytes. A longer one is given up as soon as that is known, so that never more than
/// the limit and one frame is held.
pub async fn read_capped<B: Body + Unpin>(
    mut body: B,
    limit: usize,
) -> Result<Vec<u8>, ReadError<B::Error>> {
    let hint = body.size_hint();
    let at_least = usize::try_from(hint.lower()).unwrap_or(usize::MAX);
    if at_least > limit {
        return Err(ReadError::TooLarge { limit });
    }
    let mut bytes = Vec::with_capacity(at_least);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(ReadError::Broken)?;
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        if bytes.len() + bytes::Buf::remaining(&data) > limit {
            return Err(ReadError::TooLarge { limit });
        }
        bytes::BufMut::put(&mut bytes, &mut data);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn a_body_up_to_the_limit_is_read_and_a_longer_one_refused() {
        let body = || Full::new(bytes::Bytes::from_static(b"12345"));
        assert_eq!(read_capped(body(), 5).await.unwrap(), b"12345");
        assert!(matches!(
            read_capped(body(), 4).await,
            Err(ReadError::TooLarge { limit: 4 })
        ));
    }
}
