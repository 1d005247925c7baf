//! Pages of transcodes, for people who ask which video it is.

use std::sync::Arc;

use super::Ledger;
use super::transcodes::TranscodeRow;
use super::verdict::Verdict;

/// Which transcodes are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Only of the queue with this id.
    pub queue: Option<String>,
    /// Only in this state.
    pub state: ListedState,
    /// Only of which this is said.
    pub verdict: Option<Verdict>,
    /// So many of the first are left out.
    pub offset: usize,
    /// At most so many are shown.
    pub limit: usize,
}

/// A state to ask for; each of the first three includes the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListedState {
    /// Everything that has not ended.
    #[default]
    InFlight,
    /// Past the deadline.
    Overdue,
    /// Stalled.
    Stalled,
    /// Closed in the last day without a callback.
    Closed,
}

/// One page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The transcodes with the ids of their queues; of each queue the oldest first, or those closed last.
    pub rows: Vec<(Arc<str>, TranscodeRow)>,
    /// How many there are over all pages.
    pub total: usize,
}

// === impl ListedState ===

impl ListedState {
    /// The state of that name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "in_flight" => Some(Self::InFlight),
            "overdue" => Some(Self::Overdue),
            "stalled" => Some(Self::Stalled),
            "closed" => Some(Self::Closed),
            _ => None,
        }
    }

    fn includes(self, row: &TranscodeRow) -> bool {
        match self {
            Self::InFlight | Self::Closed => true,
            Self::Overdue => row.overdue_since.is_some(),
            Self::Stalled => row.verdict == Some(Verdict::Stalled),
        }
    }
}

// === impl Ledger ===

impl Ledger {
    /// The page that is asked for.
    pub fn list(&self, listing: &Listing) -> Page {
        match listing.state {
            ListedState::Closed => listing.page(self.closed()),
            _ => listing.page(self.transcodes()),
        }
    }
}

// === impl Listing ===

impl Listing {
    fn page<'a>(&self, rows: impl Iterator<Item = (&'a Arc<str>, TranscodeRow)>) -> Page {
        let mut page = Page::default();
        for (queue, row) in rows {
            if !self.includes(queue, &row) {
                continue;
            }
            if page.total >= self.offset && page.rows.len() < self.limit {
                page.rows.push((Arc::clone(queue), row));
            }
            page.total += 1;
        }
        page
    }

    fn includes(&self, queue: &str, row: &TranscodeRow) -> bool {
        self.queue.as_deref().is_none_or(|wanted| wanted == queue)
            && self.state.includes(row)
            && (self.verdict.is_none() || self.verdict == row.verdict)
    }
}
