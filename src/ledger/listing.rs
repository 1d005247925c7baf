//! Pages of transcodes, for people who ask which video it is.

use std::sync::Arc;

use super::Ledger;
use super::transcodes::TranscodeRow;
use super::verdict::Verdict;

/// Which open transcodes are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Only of the queue with this id.
    pub queue: Option<String>,
    /// Only in this state.
    pub state: ListedState,
    /// So many of the first are left out.
    pub offset: usize,
    /// At most so many are shown.
    pub limit: usize,
}

/// A state to ask for; each includes the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListedState {
    /// Everything that has not ended.
    #[default]
    InFlight,
    /// Past the deadline.
    Overdue,
    /// Stalled.
    Stalled,
}

/// One page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The transcodes with the ids of their queues, the oldest of each queue first.
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
            _ => None,
        }
    }

    fn includes(self, row: &TranscodeRow) -> bool {
        match self {
            Self::InFlight => true,
            Self::Overdue => row.overdue_since.is_some(),
            Self::Stalled => row.verdict == Some(Verdict::Stalled),
        }
    }
}

// === impl Ledger ===

impl Ledger {
    /// The page that is asked for.
    pub fn list(&self, listing: &Listing) -> Page {
        let mut page = Page::default();
        for (queue, row) in self.transcodes() {
            let wanted = listing
                .queue
                .as_deref()
                .is_none_or(|wanted| wanted == &**queue);
            if !wanted || !listing.state.includes(&row) {
                continue;
            }
            if page.total >= listing.offset && page.rows.len() < listing.limit {
                page.rows.push((Arc::clone(queue), row));
            }
            page.total += 1;
        }
        page
    }
}
