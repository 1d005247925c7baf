//! `/api/v1/transcodes`: which videos the numbers are about.

use http::StatusCode;
use serde::Serialize;

use super::super::{Admin, Answer};
use super::{error, json, time};
use crate::ledger::listing::{ListedState, Listing, Page};
use crate::ledger::{TranscodeRow, Verdict};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

#[derive(Serialize)]
struct Transcodes<'a> {
    transcodes: Vec<Transcode<'a>>,
    /// Over all pages.
    total: usize,
    /// For the next page; null on the last.
    next_offset: Option<usize>,
}

#[derive(Serialize)]
struct Transcode<'a> {
    queue: &'a str,
    video_id: String,
    state: &'static str,
    started: String,
    overdue_since: Option<String>,
    verdict: Option<&'static str>,
    stage: Option<&'static str>,
    closed: Option<String>,
    duration_seconds: Option<u32>,
}

pub(in crate::admin) fn transcodes(admin: &Admin, query: &str) -> Answer {
    let listing = match parse(query) {
        Ok(listing) => listing,
        Err(why) => return error(StatusCode::BAD_REQUEST, &why),
    };
    let page = admin.view.transcodes(&listing);
    let end = listing.offset.saturating_add(page.rows.len());
    let Page { rows, total } = &page;
    let answer = Transcodes {
        transcodes: rows
            .iter()
            .map(|(queue, row)| Transcode::new(queue, row))
            .collect(),
        total: *total,
        next_offset: (end < *total && !rows.is_empty()).then_some(end),
    };
    json(StatusCode::OK, &answer)
}

fn parse(query: &str) -> Result<Listing, String> {
    let mut listing = Listing {
        queue: None,
        state: ListedState::default(),
        verdict: None,
        offset: 0,
        limit: DEFAULT_LIMIT,
    };
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let number = || {
            value
                .parse::<usize>()
                .map_err(|_| format!("The parameter {name} is {value:?}; it takes a number."))
        };
        match &*name {
            "queue" => listing.queue = Some(value.into_owned()),
            "state" => {
                listing.state = ListedState::parse(&value).ok_or_else(|| {
                    format!(
                        "The parameter state is {value:?}; it takes in_flight, overdue, stalled or closed."
                    )
                })?;
            }
            "verdict" => {
                listing.verdict = Some(Verdict::parse(&value).ok_or_else(|| {
                    let names: Vec<_> = Verdict::ALL.iter().map(|it| it.as_str()).collect();
                    let names = names.join(", ");
                    format!("The parameter verdict is {value:?}; it takes one of {names}.")
                })?);
            }
            "offset" => listing.offset = number()?,
            "limit" => {
                listing.limit = number()?;
                if !(1..=MAX_LIMIT).contains(&listing.limit) {
                    return Err(format!(
                        "The parameter limit is {value}; it takes 1 to {MAX_LIMIT}."
                    ));
                }
            }
            other => {
                return Err(format!(
                    "There is no parameter {other:?}; known are queue, state, verdict, offset and limit."
                ));
            }
        }
    }
    Ok(listing)
}

// === impl Transcode ===

impl<'a> Transcode<'a> {
    fn new(queue: &'a str, row: &TranscodeRow) -> Self {
        Self {
            queue,
            video_id: row.media.to_string(),
            state: row.state.as_str(),
            started: row.started.to_string(),
            overdue_since: time(row.overdue_since),
            verdict: row.verdict.map(Verdict::as_str),
            stage: row.stage.map(crate::ledger::verdict::Stage::as_str),
            closed: time(row.closed),
            duration_seconds: row.duration_seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_checked() {
        let listing = parse("state=stalled&queue=a+b&limit=5&offset=10").unwrap();
        assert_eq!(listing.queue.as_deref(), Some("a b"));
        assert_eq!(
            (listing.state, listing.limit, listing.offset),
            (ListedState::Stalled, 5, 10)
        );
        let listing = parse("state=closed&verdict=callback_lost").unwrap();
        assert_eq!(
            (listing.state, listing.verdict),
            (ListedState::Closed, Some(Verdict::CallbackLost))
        );
        for (query, told) in [
            ("state=done", "in_flight, overdue, stalled or closed"),
            ("verdict=lost", "slow, stalled"),
            ("limit=0", "1 to 1000"),
            ("limit=x", "a number"),
            ("page=2", "queue, state, verdict, offset and limit"),
        ] {
            let error = parse(query).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
