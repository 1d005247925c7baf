//! The asking: one driver for each account, region and application of VOD.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::budget::Budget;
use super::callback::{CallbackConfig, Check};
use super::judge::{self, Finding, Judge};
use crate::ledger::{Judgement, Mode, Overdue, QueueIdentity, QueueIndex, Record, Role, Situation};
use crate::mns::retry::Backoff;
use crate::outage::{Outage, Say};
use crate::recorder::Stopped;
use crate::vod::api::{
    self, Client, MAX_PAGE, MAX_SUMMARY_IDS, Operation, TranscodeSummary, VideoInfos,
};
use crate::vod::event::MediaKey;

/// Between two looks for overdue videos.
const ROUND: Duration = Duration::from_secs(10);
/// Between two sweeps, and between two looks at the callback configuration.
const SURVEY: Duration = Duration::from_mins(5);
/// After a refusal that will not pass by itself.
const REFUSED: Duration = Duration::from_mins(5);
/// At most so many overdue videos of a queue, the oldest, are looked at in a round: more than VOD's rate lets us ask about
/// between two looks at the same one.
const MAX_OVERDUE: usize = 50_000;
/// At most so many pages a sweep; VOD lists 5,000 videos at most.
const MAX_PAGES: u32 = 50;

/// What the driver needs of the ledger: all of it committed.
pub trait Ledger: Send + Sync {
    /// The queues whose videos are in the driver's account and region.
    fn queues(&self) -> Vec<Watched>;
    /// Overdue videos of a queue.
    fn overdue(&self, queue: QueueIndex, limit: usize) -> Vec<Overdue>;
    /// What is known of a queue now; none while there is no server time.
    fn situation(&self, queue: QueueIndex) -> Option<Situation>;
    /// Commits a record.
    fn commit(&self, record: Record) -> impl Future<Output = Result<(), Stopped>> + Send;
}

/// A queue that is watched.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Its place in the ledger.
    pub index: QueueIndex,
    /// Who it is.
    pub identity: Arc<QueueIdentity>,
}

/// What a driver is for.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// VOD's region; empty where it is unknown.
    pub region: String,
    /// Template groups that transcode nothing.
    pub not_transcoded: Vec<String>,
    /// Between two questions about the same video; none for [`judge::POLL_INTERVAL`].
    pub poll_interval: Option<Duration>,
    /// Of the backoff.
    pub seed: u64,
}

/// Asks VOD about the overdue videos of some queues.
#[derive(Debug)]
pub struct Driver<L> {
    client: Client,
    ledger: L,
    budget: Arc<Budget>,
    callbacks: Arc<CallbackConfig>,
    settings: Settings,
    judges: HashMap<QueueIndex, Judge>,
    backoff: Backoff,
    /// When this round began.
    now: Instant,
    /// No call of any kind before this instant.
    paused_until: Option<Instant>,
    /// Operations that VOD refuses, and until when they are not tried again.
    refused: HashMap<Operation, Instant>,
    /// Operations that fail, and what has been logged of it.
    outages: HashMap<Operation, Outage>,
    /// When the callback configuration was read and videos were swept last.
    surveyed: Option<Instant>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Stopped(#[from] Stopped),
    #[error("a call failed: no more calls for now")]
    Paused,
    #[error("VOD refuses this operation, the others go on")]
    Refused,
}

// === impl Driver ===

impl<L: Ledger> Driver<L> {
    /// A driver at rest. `budget` is shared by all that ask for the same account and region.
    pub fn new(
        client: Client,
        ledger: L,
        budget: Arc<Budget>,
        callbacks: Arc<CallbackConfig>,
        settings: Settings,
    ) -> Self {
        Self {
            client,
            ledger,
            budget,
            callbacks,
            backoff: Backoff::new(fastrand::Rng::with_seed(settings.seed)),
            settings,
            judges: HashMap::new(),
            now: Instant::now(),
            paused_until: None,
            refused: HashMap::new(),
            outages: HashMap::new(),
            surveyed: None,
        }
    }

    /// Runs until cancelled, or until the ledger takes no more.
    pub async fn run(mut self, cancelled: CancellationToken) {
        let rounds = async {
            while self.round(Instant::now()).await.is_ok() {
                tokio::time::sleep(ROUND).await;
            }
        };
        tokio::select! {
            () = rounds => {}
            () = cancelled.cancelled() => {}
        }
    }

    fn judge(&mut self, queue: QueueIndex) -> &mut Judge {
        let interval = self.settings.poll_interval;
        let new = || Judge::new(interval.unwrap_or(judge::POLL_INTERVAL));
        self.judges.entry(queue).or_insert_with(new)
    }

    /// Asks once about everything that is due at `now`, unless a failure ordered a pause.
    pub async fn round(&mut self, now: Instant) -> Result<(), Stopped> {
        self.now = now;
        if self.paused_until.is_some_and(|until| now < until) {
            return Ok(());
        }
        let queues = self.ledger.queues();
        self.judges
            .retain(|index, _| queues.iter().any(|queue| queue.index == *index));
        match self.ask_all(&queues).await {
            Err(Ended::Stopped(stopped)) => Err(stopped),
            Ok(()) | Err(Ended::Paused | Ended::Refused) => Ok(()),
        }
    }

    async fn ask_all(&mut self, queues: &[Watched]) -> Result<(), Ended> {
        for queue in queues {
            self.judge_queue(queue.index).await?;
        }
        let due = self
            .surveyed
            .is_none_or(|at| self.now.duration_since(at) >= SURVEY);
        // Without server time a sweep could not be told to the ledger.
        let mut known = queues
            .iter()
            .map(|queue| self.ledger.situation(queue.index));
        if due && known.any(|situation| situation.is_some()) {
            self.surveyed = Some(self.now);
            unless_refused(self.check_callbacks(queues).await)?;
            unless_refused(self.sweep(queues).await)?;
        }
        Ok(())
    }

    async fn judge_queue(&mut self, queue: QueueIndex) -> Result<(), Ended> {
        let Some(situation) = self.ledger.situation(queue) else {
            return Ok(());
        };
        let overdue = self.ledger.overdue(queue, MAX_OVERDUE);
        let judge = self.judge(queue);
        let due = judge.due(overdue, situation.now);
        for batch in due.chunks(MAX_SUMMARY_IDS) {
            unless_refused(self.judge_batch(queue, batch).await)?;
        }
        Ok(())
    }

    /// Asks about at most ten videos. A failure leaves those without an answer unclear and ends the round.
    async fn judge_batch(&mut self, queue: QueueIndex, batch: &[Overdue]) -> Result<(), Ended> {
        let complete = self
            .ledger
            .situation(queue)
            .is_some_and(|situation| situation.view_complete);
        let askable: Vec<&MediaKey> = batch
            .iter()
            .map(|video| &video.media)
            .filter(|media| api::is_askable(media))
            .collect();
        let (findings, ended) = match self.findings(&askable, complete).await {
            Ok(findings) => (findings, Ok(())),
            Err((findings, ended)) => (findings, Err(ended)),
        };
        // As it is after the answers: what came meanwhile has been heard.
        let Some(situation) = self.ledger.situation(queue) else {
            return ended;
        };
        let judge = self.judge(queue);
        let judgements: Vec<Judgement> = batch
            .iter()
            .filter_map(|video| {
                let finding = findings.get(&video.media).copied();
                judge.judge(video, finding.unwrap_or(Finding::Unclear), &situation)
            })
            .collect();
        if !judgements.is_empty() {
            let at = situation.now;
            let record = Record::Judged {
                queue,
                at,
                judgements,
            };
            self.ledger.commit(record).await?;
        }
        ended
    }

    /// What VOD says of these videos; on a failure what it said before.
    async fn findings(
        &mut self,
        media: &[&MediaKey],
        view_complete: bool,
    ) -> Result<HashMap<MediaKey, Finding>, (HashMap<MediaKey, Finding>, Ended)> {
        let mut findings = HashMap::new();
        if media.is_empty() {
            return Ok(findings);
        }
        let summaries = match self.summaries(media).await {
            Ok(summaries) => summaries,
            Err(ended) => return Err((findings, ended)),
        };
        let mut unclear = Vec::new();
        for media in media {
            let summary = summaries.iter().find(|summary| summary.media == **media);
            match judge::of_summary(summary) {
                // It counts as lost only if no review holds it and it still exists.
                Some(finding @ Finding::Finished(_)) if view_complete => {
                    unclear.push((*media, Some(finding)));
                }
                Some(finding) => _ = findings.insert((*media).clone(), finding),
                None => unclear.push((*media, None)),
            }
        }
        if unclear.is_empty() {
            return Ok(findings);
        }
        let ids: Vec<&MediaKey> = unclear.iter().map(|(media, _)| *media).collect();
        let infos = match self.infos(&ids).await {
            Ok(infos) => infos,
            Err(ended) => return Err((findings, ended)),
        };
        for (media, finished) in unclear {
            let groups = &self.settings.not_transcoded;
            let finding = judge::of_info(media, &infos, finished, groups);
            findings.insert(media.clone(), finding);
        }
        Ok(findings)
    }

    async fn summaries(&mut self, media: &[&MediaKey]) -> Result<Vec<TranscodeSummary>, Ended> {
        self.leave_for(Operation::GetTranscodeSummary).await?;
        let answer = self.client.transcode_summaries(media).await;
        self.heard(Operation::GetTranscodeSummary, answer)
    }

    async fn infos(&mut self, media: &[&MediaKey]) -> Result<VideoInfos, Ended> {
        self.leave_for(Operation::GetVideoInfos).await?;
        let answer = self.client.video_infos(media).await;
        self.heard(Operation::GetVideoInfos, answer)
    }

    async fn check_callbacks(&mut self, queues: &[Watched]) -> Result<(), Ended> {
        self.leave_for(Operation::GetMessageCallback).await?;
        let answer = self.client.message_callback().await;
        let callback = self.heard(Operation::GetMessageCallback, answer)?;
        for queue in queues {
            if queue.identity.role == Role::Callback {
                let region = &self.settings.region;
                self.callbacks.update(&callback, &queue.identity, region);
            }
        }
        Ok(())
    }

    /// Tells the ledger of all videos under way, whose uploads go unseen while peeking.
    async fn sweep(&mut self, queues: &[Watched]) -> Result<(), Ended> {
        let Some(queue) = self.swept_into(queues) else {
            return Ok(());
        };
        for page in 1..=MAX_PAGES {
            self.leave_for(Operation::GetVideoList).await?;
            let answer = self.client.transcoding(page).await;
            let answer = self.heard(Operation::GetVideoList, answer)?;
            let situation = self.ledger.situation(queue);
            if let Some(situation) = situation
                && !answer.videos.is_empty()
            {
                let record = Record::Swept {
                    queue,
                    at: situation.now,
                    videos: answer.videos,
                };
                self.ledger.commit(record).await?;
            }
            if answer.length < MAX_PAGE {
                break;
            }
        }
        Ok(())
    }

    /// The peeked queue that VOD's callbacks go to: the only one, or else the one that the configuration names.
    fn swept_into(&self, queues: &[Watched]) -> Option<QueueIndex> {
        let peeked = |queue: &&Watched| {
            queue.identity.mode == Mode::Peek && queue.identity.role == Role::Callback
        };
        let mut peeked = queues.iter().filter(peeked);
        let results = self.callbacks.results();
        let first = peeked.next()?;
        let named = |queue: &&Watched| {
            let results = results.get(&queue.identity.id);
            results.is_some_and(|results| results[Check::Queue.index()] == Some(true))
        };
        let rest: Vec<&Watched> = peeked.collect();
        if rest.is_empty() {
            return Some(first.index);
        }
        let mut all = std::iter::once(first).chain(rest);
        all.find(named).map(|queue| queue.index)
    }

    /// Waits for the budget, unless the operation was refused lately.
    async fn leave_for(&self, operation: Operation) -> Result<(), Ended> {
        let until = self.refused.get(&operation);
        if until.is_some_and(|until| self.now < *until) {
            return Err(Ended::Refused);
        }
        self.budget.spend().await;
        Ok(())
    }

    /// After a failure that may pass by itself nothing is asked for a while, the longer the oftener.
    fn heard<T>(
        &mut self,
        operation: Operation,
        answer: Result<T, api::Error>,
    ) -> Result<T, Ended> {
        let error = match answer {
            Ok(answer) => {
                self.backoff.reset();
                self.refused.remove(&operation);
                let outage = self.outages.entry(operation).or_default();
                if let Some(Say::Works(lasted)) = outage.note(None, Instant::now()) {
                    let lasted_seconds = lasted.as_secs();
                    info!(%operation, vod = self.client.host(), lasted_seconds, "VOD answers again.");
                }
                return Ok(answer);
            }
            Err(error) => error,
        };
        let outage = self.outages.entry(operation).or_default();
        if let Some(Say::Fails(lasting)) = outage.note(Some(error.kind()), Instant::now()) {
            let lasting_seconds = lasting.as_secs();
            warn!(%error, lasting_seconds, "VOD does not tell what became of transcodes.");
        }
        if error.is_retryable() {
            self.paused_until = Some(self.now + self.backoff.next_delay());
            return Err(Ended::Paused);
        }
        self.refused.insert(operation, self.now + REFUSED);
        Err(Ended::Refused)
    }
}

/// A refused operation is no reason not to try others.
fn unless_refused(result: Result<(), Ended>) -> Result<(), Ended> {
    match result {
        Err(Ended::Refused) => Ok(()),
        other => other,
    }
}
