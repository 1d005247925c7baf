//! VOD's API, version 2017-03-21: the four read-only calls that tell what became of a transcode.
//!
//! RPC style: `POST /` with the parameters in the query, signed with [`acs3`](crate::aliyun::sign::acs3), answered in
//! JSON. Nothing is retried here: who asks has a budget, and knows when to ask again.

mod answer;
mod error;
mod request;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use url::Url;

use self::request::Call;
use super::event::MediaKey;
use crate::aliyun::credentials::Provider;
use crate::aliyun::rpc;

pub use self::answer::{
    Job, JobStatus, MediaStatus, MessageCallback, TaskStatus, TranscodeSummary, VideoInfo,
    VideoInfos, VideoPage,
};
pub use self::error::{Cause, Error, Refusal};

/// `GetTranscodeSummary` takes at most this many ids.
pub const MAX_SUMMARY_IDS: usize = 10;
/// `GetVideoInfos` takes at most this many ids.
pub const MAX_INFO_IDS: usize = 20;
/// `GetVideoList` gives at most this many videos a page.
pub const MAX_PAGE: usize = 100;

/// Whom to call and of which application.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `https://vod.{region}.aliyuncs.com`, see [`endpoint_of`]; a path is ignored.
    pub endpoint: Url,
    /// Whose callback configuration is read; none for the default application.
    pub app_id: Option<String>,
    /// Of the nonces.
    pub seed: u64,
}

/// Is told of every call.
pub trait Observer: Send + Sync {
    /// A call is over; `code` is `ok` or an [`Error::kind`].
    fn called(&self, operation: Operation, code: &'static str, took: Duration);
}

/// A call of the API, by the vendor's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// The latest transcode of up to ten videos.
    GetTranscodeSummary,
    /// Up to twenty videos.
    GetVideoInfos,
    /// Videos by status.
    GetVideoList,
    /// Where callbacks go, and which.
    GetMessageCallback,
}

/// A VOD client for one region. Shared by reference; has no state but the source of its nonces.
pub struct Client {
    config: ClientConfig,
    host: String,
    credentials: Arc<Provider>,
    http: reqwest::Client,
    observer: Arc<dyn Observer>,
    rng: Mutex<fastrand::Rng>,
}

/// The public endpoint of a region, by the vendor's list; none if it cannot be part of a host name.
pub fn endpoint_of(region: &str) -> Option<Url> {
    let is_label = !region.is_empty()
        && region
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let url = is_label.then(|| Url::parse(&format!("https://vod.{region}.aliyuncs.com")));
    url?.ok()
}

/// Whether VOD can be asked about this id: one that was cut, or that holds the list's comma, would ask about others.
pub fn is_askable(media: &MediaKey) -> bool {
    match media {
        MediaKey::Hex(_) => true,
        MediaKey::Text(text) => {
            (1..=64).contains(&text.len())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        }
    }
}

// === impl Operation ===

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 4] = [
        Self::GetTranscodeSummary,
        Self::GetVideoInfos,
        Self::GetVideoList,
        Self::GetMessageCallback,
    ];

    /// The vendor's name; `vod:` before it makes the RAM action.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GetTranscodeSummary => "GetTranscodeSummary",
            Self::GetVideoInfos => "GetVideoInfos",
            Self::GetVideoList => "GetVideoList",
            Self::GetMessageCallback => "GetMessageCallback",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl Client ===

impl Client {
    /// A client for `config.endpoint`.
    pub fn new(
        config: ClientConfig,
        credentials: Arc<Provider>,
        http: reqwest::Client,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            host: rpc::host_of(&config.endpoint),
            credentials,
            http,
            observer,
            rng: Mutex::new(fastrand::Rng::with_seed(config.seed)),
            config,
        }
    }

    /// The endpoint's host, with its port where it names one.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Where the API is.
    pub fn endpoint(&self) -> &Url {
        &self.config.endpoint
    }

    /// The latest transcode of each of at most ten videos; those that have none are left out.
    pub async fn transcode_summaries(
        &self,
        media: &[&MediaKey],
    ) -> Result<Vec<TranscodeSummary>, Error> {
        let call = Call::new(Operation::GetTranscodeSummary);
        let call = call.with("VideoIds", self.ids(&call, media, MAX_SUMMARY_IDS)?);
        self.ask(&call, answer::transcode_summaries).await
    }

    /// At most twenty videos, and which of them do not exist.
    pub async fn video_infos(&self, media: &[&MediaKey]) -> Result<VideoInfos, Error> {
        let call = Call::new(Operation::GetVideoInfos);
        let call = call.with("VideoIds", self.ids(&call, media, MAX_INFO_IDS)?);
        self.ask(&call, answer::video_infos).await
    }

    /// Videos that VOD transcodes, the oldest first: page `page` (from 1) of at most [`MAX_PAGE`].
    pub async fn transcoding(&self, page: u32) -> Result<VideoPage, Error> {
        let call = Call::new(Operation::GetVideoList)
            .with("Status", "Transcoding".to_owned())
            .with("SortBy", "CreationTime:Asc".to_owned())
            .with("PageNo", page.to_string())
            .with("PageSize", MAX_PAGE.to_string());
        self.ask(&call, answer::video_page).await
    }

    /// Where callbacks go, and which.
    pub async fn message_callback(&self) -> Result<MessageCallback, Error> {
        let mut call = Call::new(Operation::GetMessageCallback);
        if let Some(app_id) = &self.config.app_id {
            call = call.with("AppId", app_id.clone());
        }
        self.ask(&call, answer::message_callback).await
    }

    fn ids(&self, call: &Call, media: &[&MediaKey], limit: usize) -> Result<String, Error> {
        if media.is_empty() || media.len() > limit || !media.iter().all(|media| is_askable(media)) {
            let problem = "too many ids, none, or one that VOD cannot be asked about";
            return Err(self.error(call.operation, Cause::Invalid(problem)));
        }
        let ids: Vec<String> = media.iter().map(ToString::to_string).collect();
        Ok(ids.join(","))
    }

    fn error(&self, operation: Operation, cause: Cause) -> Error {
        Error {
            operation,
            host: self.host.clone(),
            cause,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
