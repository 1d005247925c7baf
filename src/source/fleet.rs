//! Everything that the config names, kept as the config says: what is new is started, what is gone is stopped, what is
//! changed is started anew, and what is the same goes on untouched.

mod plan;

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::plan::Changed;

use self::plan::{Fate, Plan};
use super::discovery::Discoverer;
use super::watcher::{Attributes, StartError, Watcher};
use crate::clock::ServerClock;
use crate::config::{Discovery, QueueConfig};

/// All queues and rules of a config.
#[derive(Debug)]
pub struct Fleet {
    watcher: Arc<Watcher>,
    clock: Arc<ServerClock>,
    /// Ends every rule.
    looking: CancellationToken,
    rules: Mutex<Vec<Rule>>,
}

/// A discovery at work.
#[derive(Debug)]
struct Rule {
    discovery: Discovery,
    cancelled: CancellationToken,
    task: JoinHandle<Result<(), StartError>>,
}

// === impl Fleet ===

impl Fleet {
    /// Nothing yet.
    pub fn new(watcher: Arc<Watcher>, clock: Arc<ServerClock>) -> Self {
        Self {
            watcher,
            clock,
            looking: CancellationToken::new(),
            rules: Mutex::default(),
        }
    }

    /// Makes what is watched what the config says. Changes nothing if a client cannot be built.
    ///
    /// What was received of a queue that is stopped or changed is deleted, passed on or released before this returns.
    pub async fn apply(
        &self,
        queues: Vec<QueueConfig>,
        discoveries: Vec<Discovery>,
    ) -> Result<Changed, StartError> {
        let mut rules = self.rules.lock().await;
        let former = rules.iter().map(|rule| &rule.discovery);
        let plan = Plan::new(&self.watcher.watched(), former, queues, discoveries);
        for queue in &plan.moving {
            self.watcher.prepare(queue.clone(), Attributes::Own)?;
        }
        let mut discoverers = Vec::with_capacity(plan.new_rules.len());
        for rule in &plan.new_rules {
            let (watcher, clock) = (Arc::clone(&self.watcher), Arc::clone(&self.clock));
            discoverers.push(Discoverer::new(rule.clone(), watcher, clock)?);
        }

        let (gone, kept) = rules
            .drain(..)
            .partition(|rule| plan.gone_rules.contains(&rule.discovery));
        *rules = kept;
        end_rules(gone).await;
        let _changing = self.watcher.changing().await;
        self.clear(&plan).await?;
        for queue in plan.moving {
            // Once more, since the series of a queue that had its id are gone only now.
            let prepared = self.watcher.prepare(queue, Attributes::Own)?;
            self.watcher.launch(prepared).await?;
        }
        for (discovery, discoverer) in plan.new_rules.into_iter().zip(discoverers) {
            let cancelled = self.looking.child_token();
            let task = tokio::spawn(discoverer.run(cancelled.clone()));
            rules.push(Rule {
                discovery,
                cancelled,
                task,
            });
        }
        let rules = rules.iter().map(|rule| &rule.discovery);
        self.watcher.forget_accounts(rules);
        Ok(plan.counts)
    }

    /// Finds no more queues; those that are watched go on.
    pub async fn stop_looking(&self) {
        self.looking.cancel();
        let rules = self.rules.lock().await.drain(..).collect();
        end_rules(rules).await;
    }

    /// Ends the tasks of every queue that is gone or about to be watched in another way.
    async fn clear(&self, plan: &Plan) -> Result<(), StartError> {
        let (mut gone, mut paused) = (Vec::new(), Vec::new());
        for (old, by) in self.watcher.watched() {
            match plan.fate(&old, by) {
                Fate::Stays => {}
                Fate::Goes => gone.push(Arc::clone(&old.identity.id)),
                Fate::Returns { as_other } => paused.push((Arc::clone(&old.identity.id), as_other)),
            }
        }
        // All at once, so that the slowest answer of MNS is waited for and not their sum.
        let ids = gone.iter().chain(paused.iter().map(|(id, _)| id));
        for queue in ids.filter_map(|id| self.watcher.get(id)) {
            queue.cancelled.cancel();
        }
        for id in gone {
            self.watcher.stop(&id).await?;
        }
        for (id, as_other) in paused {
            self.watcher.end(&id).await;
            if as_other {
                self.watcher.forget(&id);
            }
        }
        Ok(())
    }
}

async fn end_rules(rules: Vec<Rule>) {
    for rule in &rules {
        rule.cancelled.cancel();
    }
    for rule in rules {
        // A rule that failed found the process shutting down.
        _ = rule.task.await;
    }
}
