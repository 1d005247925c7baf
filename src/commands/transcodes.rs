//! `transcodes`: prints the transcodes of a running exporter that have not ended, as a table.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use url::Url;

use crate::aliyun::transport;
use crate::commands::block_on;
use crate::http::read_capped;

/// A page of 1,000 rows is below 1 MiB.
const MAX_ANSWER_BYTES: usize = 16 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);
const PAGE: usize = 1_000;

/// Flags of `transcodes`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Address of a running exporter
    #[arg(
        long,
        value_name = "URL",
        env = "VOD_CALLBACK_EXPORTER_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:10058"
    )]
    url: Url,
    /// Only those that are past their deadline
    #[arg(long, env = "VOD_CALLBACK_EXPORTER_OVERDUE", hide_env_values = true)]
    overdue: bool,
    /// Only those that are stalled
    #[arg(
        long,
        env = "VOD_CALLBACK_EXPORTER_STALLED",
        hide_env_values = true,
        conflicts_with = "overdue"
    )]
    stalled: bool,
    /// Only those of the queue with this id
    #[arg(
        long,
        value_name = "ID",
        env = "VOD_CALLBACK_EXPORTER_QUEUE",
        hide_env_values = true
    )]
    queue: Option<String>,
}

const AFTER_HELP: &str = "\
The oldest of each queue come first. Times are UTC. SINCE is when the deadline passed.";

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    transcodes: Vec<Row>,
    next_offset: Option<usize>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Row {
    queue: String,
    video_id: String,
    state: String,
    started: String,
    overdue_since: Option<String>,
    verdict: Option<String>,
    stage: Option<String>,
}

/// Prints the table.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    let rows = block_on(fetch(args))?;
    print(&rows, &mut io::stdout().lock())?;
    Ok(())
}

async fn fetch(args: &Args) -> anyhow::Result<Vec<Row>> {
    let client = transport::Options::default().client()?;
    let (mut rows, mut offset) = (Vec::new(), Some(0));
    while let Some(from) = offset {
        let mut page = page(args, &client, from).await?;
        rows.append(&mut page.transcodes);
        offset = page.next_offset.filter(|next| *next > from);
    }
    Ok(rows)
}

async fn page(args: &Args, client: &reqwest::Client, offset: usize) -> anyhow::Result<Answer> {
    let mut url = args
        .url
        .join("/api/v1/transcodes")
        .context("cannot use this --url")?;
    let state = match (args.stalled, args.overdue) {
        (true, _) => "stalled",
        (_, true) => "overdue",
        _ => "in_flight",
    };
    url.query_pairs_mut()
        .append_pair("state", state)
        .append_pair("limit", &PAGE.to_string())
        .append_pair("offset", &offset.to_string());
    if let Some(queue) = &args.queue {
        url.query_pairs_mut().append_pair("queue", queue);
    }
    let asked = client.get(url.clone()).timeout(TIMEOUT).send().await;
    let response = asked.with_context(|| format!("no exporter answers at {}", args.url))?;
    let status = response.status();
    let body = read_capped(reqwest::Body::from(response), MAX_ANSWER_BYTES).await?;
    let answer: Answer = serde_json::from_slice(&body)
        .with_context(|| format!("{url} answered {status} without the JSON of an exporter"))?;
    match answer.error {
        Some(error) => bail!("{} answered {status}: {error}", args.url),
        None => Ok(answer),
    }
}

fn print(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    let none = "-".to_owned();
    let head = [
        "QUEUE", "VIDEO", "STATE", "STARTED", "SINCE", "VERDICT", "STAGE",
    ]
    .map(ToOwned::to_owned);
    let lines: Vec<[String; 7]> = std::iter::once(head)
        .chain(rows.iter().map(|row| {
            let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| none.clone());
            [
                row.queue.clone(),
                row.video_id.clone(),
                row.state.clone(),
                row.started.clone(),
                or_none(&row.overdue_since),
                or_none(&row.verdict),
                or_none(&row.stage),
            ]
        }))
        .collect();
    let mut widths = [0; 7];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    for line in &lines {
        let cells: Vec<String> = line
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let row = |queue: &str, stage: Option<&str>| Row {
            queue: queue.to_owned(),
            video_id: "a1".to_owned(),
            state: "transcoding".to_owned(),
            started: "2026-02-01T08:00:05Z".to_owned(),
            overdue_since: Some("2026-02-01T09:00:05Z".to_owned()),
            verdict: Some("stalled".to_owned()),
            stage: stage.map(ToOwned::to_owned),
        };
        let mut out = Vec::new();
        print(
            &[row("vod-callbacks", Some("transcode")), row("b", None)],
            &mut out,
        )
        .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "\
QUEUE          VIDEO  STATE        STARTED               SINCE                 VERDICT  STAGE
vod-callbacks  a1     transcoding  2026-02-01T08:00:05Z  2026-02-01T09:00:05Z  stalled  transcode
b              a1     transcoding  2026-02-01T08:00:05Z  2026-02-01T09:00:05Z  stalled  -
"
        );
    }
}
