//! Operations on the broker, one lock each, and the waiting of long polls.

use std::pin::pin;
use std::time::Duration;

use tokio::time::sleep;

use super::request::Action;
use super::{Call, Reply, render};
use crate::clock::UnixMillis;
use crate::emulator::attributes::AttributesPatch;
use crate::emulator::behaviour::Counters;
use crate::emulator::broker::{Created, NewMessage, Sent};
use crate::emulator::core::{Core, Shared};
use crate::emulator::error::ApiError;
use crate::emulator::faults::{Operation, Phase};
use crate::emulator::queue::{Counts, View};

/// One call on the data plane while the lock is held.
struct Turn<'a> {
    core: &'a mut Core,
    operation: Operation,
    queue: &'a str,
    now: UnixMillis,
}

/// Counts a long poll for as long as it waits.
struct Parked<'a>(&'a Shared);

/// Performs an operation.
pub(super) async fn perform(
    shared: &Shared,
    call: &Call,
    operation: Operation,
    queue: &str,
    action: Action,
) -> Result<Reply, ApiError> {
    if let Action::Receive {
        batch,
        wait_seconds,
    } = action
    {
        let wanted = batch.unwrap_or(1);
        let views = receive(shared, queue, wanted, wait_seconds).await?;
        let quotes = shared.core().behaviour.escape_quotes;
        return Ok(render::received(&views, batch.is_some(), quotes));
    }
    let mut core = shared.core();
    let now = shared.clock.now();
    let core = &mut *core;
    core.broker.settle(now, &core.behaviour);
    let mut turn = Turn {
        core,
        operation,
        queue,
        now,
    };
    turn.perform(call, action)
}

async fn receive(
    shared: &Shared,
    queue: &str,
    wanted: usize,
    wait_seconds: Option<u32>,
) -> Result<Vec<(View, String)>, ApiError> {
    let waker = {
        let mut core = shared.core();
        core.broker.queue(queue)?;
        core.waker(queue)
    };
    let mut deadline = None;
    let mut parked = None;
    loop {
        // Registered before the look at the queue, so that a message sent right after it is not missed.
        let mut woken = pin!(waker.notified());
        woken.as_mut().enable();
        let now = shared.clock.now();
        let until = {
            let mut core = shared.core();
            let core = &mut *core;
            core.broker.settle(now, &core.behaviour);
            let received = core.broker.receive(queue, wanted, now)?;
            if !received.is_empty() {
                return Ok(received);
            }
            let default = core.broker.queue(queue)?.attributes.polling_wait_seconds;
            let deadline = *deadline.get_or_insert_with(|| {
                now.plus(Duration::from_secs(wait_seconds.unwrap_or(default).into()))
            });
            let ceiling = core.behaviour.max_long_polls;
            let refused = parked.is_none() && ceiling.is_some_and(|most| core.parked >= most);
            if now >= deadline || refused {
                return Err(ApiError::message_not_exist());
            }
            if parked.is_none() {
                core.parked += 1;
                parked = Some(Parked(shared));
            }
            core.broker
                .next_arrival(queue)
                .map_or(deadline, |due| due.min(deadline))
        };
        tokio::select! {
            () = woken => {}
            () = sleep(until.since(now)) => {}
        }
    }
}

// === impl Parked ===

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        let mut core = self.0.core();
        core.parked = core.parked.saturating_sub(1);
    }
}

// === impl Turn ===

impl Turn<'_> {
    fn perform(&mut self, call: &Call, action: Action) -> Result<Reply, ApiError> {
        match action {
            Action::CreateQueue(patch) => self.create_queue(call, &patch),
            Action::SetQueueAttributes(patch) => {
                let (queue, now) = (self.queue, self.now);
                self.core.broker.set_attributes(queue, &patch, now)?;
                Ok(Reply::empty(204))
            }
            Action::GetQueueAttributes => self.get_attributes(),
            Action::DeleteQueue => self.delete_queue(),
            Action::ListQueue {
                prefix,
                after,
                limit,
                with_meta,
            } => {
                let with_meta = with_meta && self.core.behaviour.list_with_meta;
                Ok(self.list(call, &prefix, &after, limit, with_meta))
            }
            Action::Send(message) => {
                let sent = self.send(&message)?;
                Ok(render::sent(&[Ok(sent)], false, 201))
            }
            Action::BatchSend(messages) => self.batch_send(messages),
            Action::Peek { batch } => self.peek(batch),
            Action::Delete(handle) => {
                self.delete(&handle)?;
                Ok(Reply::empty(204))
            }
            Action::BatchDelete(handles) => self.batch_delete(&handles),
            Action::ChangeVisibility { handle, seconds } => {
                let (queue, now) = (self.queue, self.now);
                let broker = &mut self.core.broker;
                let (handle, until) = broker.change_visibility(queue, &handle, seconds, now)?;
                self.core.wake_queue(queue);
                Ok(render::visibility(&handle, until))
            }
            Action::Receive { .. } => unreachable!("receives wait and are handled before"),
        }
    }

    fn create_queue(&mut self, call: &Call, patch: &AttributesPatch) -> Result<Reply, ApiError> {
        let (queue, now) = (self.queue, self.now);
        let lasts = Duration::from_millis(self.core.behaviour.deleted_recently_millis);
        let deleted = self.core.deleted.get(queue);
        if deleted.is_some_and(|at| now.since(*at) < lasts) {
            return Err(ApiError::queue_deleted_recently());
        }
        let status = match self.core.broker.create_queue(queue, patch, now)? {
            Created::New => 201,
            Created::Same => 204,
        };
        Ok(Reply {
            location: Some(format!("{}/queues/{queue}", call.host_id())),
            ..Reply::empty(status)
        })
    }

    fn delete_queue(&mut self) -> Result<Reply, ApiError> {
        if self.core.broker.delete_queue(self.queue) {
            // Only what the switch can ask for is worth remembering.
            if self.core.behaviour.deleted_recently_millis > 0 {
                self.core.deleted.insert(self.queue.to_owned(), self.now);
            }
            self.core.wake_all();
            return Ok(Reply::empty(204));
        }
        match self.core.behaviour.delete_missing_queue_status {
            404 => Err(ApiError::queue_not_exist()),
            status => Ok(Reply::empty(status)),
        }
    }

    fn get_attributes(&mut self) -> Result<Reply, ApiError> {
        let exact = self.core.broker.counts(self.queue)?;
        let counts = self.shown_counts(self.queue, exact);
        let queue = self.core.broker.queue(self.queue)?;
        let shown = (self.core.behaviour.counters != Counters::Absent).then_some(counts);
        Ok(render::attributes(self.queue, queue, shown))
    }

    fn list(
        &mut self,
        call: &Call,
        prefix: &str,
        after: &str,
        limit: usize,
        with_meta: bool,
    ) -> Reply {
        let (names, more) = self.core.broker.list(prefix, after, limit);
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let absent = self.core.behaviour.counters == Counters::Absent;
        let mut entries: Vec<(String, Option<render::Meta>)> = Vec::with_capacity(names.len());
        for name in names {
            let exact = self.core.broker.counts(&name).unwrap_or_default();
            let meta = with_meta.then(|| {
                let counts = self.shown_counts(&name, exact);
                (!absent).then_some(counts)
            });
            entries.push((name, meta));
        }
        render::list(&call.host_id(), &self.core.broker, &entries, more)
    }

    fn shown_counts(&mut self, queue: &str, exact: Counts) -> Counts {
        let faults = &mut self.core.faults;
        match faults.draw(Phase::Counters, self.operation, Some(queue)) {
            Some(_) => Counts::default(),
            None => self.core.shown_counts(queue, exact, self.now),
        }
    }

    fn send(&mut self, message: &NewMessage) -> Result<Sent, ApiError> {
        let (queue, now) = (self.queue, self.now);
        let core = &mut *self.core;
        let sent = core.broker.send(queue, message, &core.behaviour, now)?;
        let again = core
            .faults
            .draw(Phase::Send, self.operation, Some(queue))
            .is_some();
        if again {
            core.broker
                .send_duplicate(queue, message, &core.behaviour, now)?;
            core.wake_for(queue, &sent);
        }
        core.wake_for(queue, &sent);
        Ok(sent)
    }

    fn batch_send(
        &mut self,
        messages: Vec<Result<NewMessage, ApiError>>,
    ) -> Result<Reply, ApiError> {
        self.core.broker.queue(self.queue)?;
        let results: Vec<_> = messages
            .into_iter()
            .map(|message| self.send(&message?))
            .collect();
        let failed = results.iter().filter(|result| result.is_err()).count();
        match results.first() {
            Some(Err(error)) if failed == results.len() => Err(error.clone()),
            _ if failed > 0 => {
                let status = self.core.behaviour.partial_batch_send_status;
                Ok(render::sent(&results, true, status))
            }
            _ => Ok(render::sent(&results, true, 201)),
        }
    }

    fn peek(&mut self, batch: Option<usize>) -> Result<Reply, ApiError> {
        let core = &mut *self.core;
        let wanted = batch.unwrap_or(1);
        let views = core.broker.peek(self.queue, wanted, &core.behaviour)?;
        if views.is_empty() {
            return Err(ApiError::message_not_exist());
        }
        let quotes = core.behaviour.escape_quotes;
        Ok(render::peeked(&views, batch.is_some(), quotes))
    }

    fn delete(&mut self, handle: &str) -> Result<(), ApiError> {
        let queue = self.queue;
        let Core { broker, faults, .. } = &mut *self.core;
        let mut returned = false;
        broker.delete(queue, handle, || {
            returned = faults
                .draw(Phase::Delete, self.operation, Some(queue))
                .is_some();
            returned
        })?;
        if returned {
            self.core.wake_one(queue);
        }
        Ok(())
    }

    fn batch_delete(&mut self, handles: &[String]) -> Result<Reply, ApiError> {
        self.core.broker.queue(self.queue)?;
        let failed: Vec<(&String, ApiError)> = handles
            .iter()
            .filter_map(|handle| Some((handle, self.delete(handle).err()?)))
            .collect();
        if failed.is_empty() {
            return Ok(Reply::empty(204));
        }
        let status = self.core.behaviour.partial_batch_delete_status;
        Ok(render::delete_errors(&failed, status))
    }
}
