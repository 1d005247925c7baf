//! What the credentials may do to a queue, found out without doing it.
//!
//! Reads are made. Of everything that would change the queue a call is made that MNS refuses for its arguments, see
//! [`probe`](crate::mns::client): the refusal says that the caller was let through, which is inferred and said so.

use std::future::Future;

use super::actions::{self, Use};
use super::queue::{Place, Trouble};
use super::{Area, Checker, in_time};
use crate::mns::{self, Operation};

/// That MNS looks at the caller before the arguments is not documented.
const INFERRED: &str = " (inferred: a call without effect was let through)";

// === impl Checker ===

impl Checker {
    /// Every call but the read of the attributes, which was made already.
    pub(super) async fn permissions(&mut self, place: Place<'_>, purpose: Use) {
        let client = match self.client(place.account, place.endpoint, place.region) {
            Ok(client) => client,
            Err(reason) => return self.report.skip(Area::Permissions, place.subject, reason),
        };
        for operation in purpose.operations() {
            let (answer, note) = match operation {
                Operation::BatchPeekMessage => (asked(client.batch_peek(place.name, 1)).await, ""),
                Operation::BatchReceiveMessage => {
                    (asked(client.may_receive(place.name)).await, INFERRED)
                }
                Operation::BatchDeleteMessage => {
                    (asked(client.may_delete(place.name)).await, INFERRED)
                }
                Operation::ChangeMessageVisibility => (
                    asked(client.may_change_visibility(place.name)).await,
                    INFERRED,
                ),
                Operation::BatchSendMessage => (asked(client.may_send(place.name)).await, INFERRED),
                _ => continue,
            };
            match answer {
                Ok(()) => self.allowed(place, *operation, note),
                Err(Trouble::Denied) => self.denied(place, *operation, purpose),
                Err(Trouble::NoQueue(found, remedy)) => {
                    self.report.fail(Area::Queue, place.subject, found, remedy);
                }
                Err(Trouble::Credentials(found, remedy) | Trouble::Other(found, remedy)) => {
                    let found = format!(
                        "whether {} is allowed is not known: {found}",
                        names(*operation)
                    );
                    self.report
                        .warn(Area::Permissions, place.subject, found, remedy);
                }
            }
        }
    }

    pub(super) fn allowed(&mut self, place: Place<'_>, operation: Operation, note: &str) {
        let found = format!("mns:{} is allowed{note}", single(operation));
        self.report.ok(Area::Permissions, place.subject, found);
    }

    pub(super) fn denied(&mut self, place: Place<'_>, operation: Operation, purpose: Use) {
        let found = format!("mns:{} is denied", single(operation));
        let remedy = format!(
            "grant {} on {} to {} (docs/ram/{})",
            names(operation),
            place.resource(operation),
            self.caller(place.account),
            purpose.policy()
        );
        self.report
            .fail(Area::Permissions, place.subject, found, remedy);
    }
}

/// An empty queue was read as well.
async fn asked<T>(call: impl Future<Output = Result<T, mns::Error>>) -> Result<(), Trouble> {
    match in_time(call).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.is_empty() => Ok(()),
        Ok(Err(error)) => Err(Trouble::of(Ok(error))),
        Err(silence) => Err(Trouble::of(Err(silence))),
    }
}

fn single(operation: Operation) -> &'static str {
    let name = operation.name();
    name.strip_prefix("Batch").unwrap_or(name)
}

fn names(operation: Operation) -> String {
    actions::actions(operation).join(" and ")
}
