//! `quarantine export`: writes the messages in quarantine of a running exporter to files, for inspection and re-sending.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::aliyun::transport;
use crate::commands::block_on;
use crate::http::read_capped;

/// The most that is read of an answer; the quarantine itself is bounded by `quarantine.max_bytes`.
const MAX_ANSWER_BYTES: usize = 1 << 30;
const TIMEOUT: Duration = Duration::from_mins(1);

/// Flags of `quarantine`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Write the messages to files: the body as MNS stores it, and an index of all
    Export(ExportArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
struct ExportArgs {
    /// Address of a running exporter
    #[arg(
        long,
        value_name = "URL",
        env = "VOD_CALLBACK_EXPORTER_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:10058"
    )]
    url: Url,
    /// Directory to write to; it is made if it is not there
    #[arg(
        long,
        value_name = "DIR",
        env = "VOD_CALLBACK_EXPORTER_DIR",
        hide_env_values = true
    )]
    dir: PathBuf,
    /// Only messages of the queue with this id
    #[arg(
        long,
        value_name = "ID",
        env = "VOD_CALLBACK_EXPORTER_QUEUE",
        hide_env_values = true
    )]
    queue: Option<String>,
}

const AFTER_HELP: &str = "\
The exporter shows bodies only if its config says quarantine.expose_bodies: true. Each message becomes \
NUMBER.body, byte for byte what a producer would have to send again; index.json tells queue, reason, times and \
MessageId of each; the reason is why it could not be decoded, or forward_refused where the queue that it \
was to be passed on to refused it for good. Files that are there already are not overwritten.";

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    messages: Vec<Message>,
    error: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Message {
    number: u64,
    queue: String,
    reason: String,
    at: String,
    enqueue_time: String,
    message_id: String,
    size: u64,
    #[serde(skip_serializing)]
    body: Option<String>,
}

/// Does what was asked for.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    let Action::Export(args) = &args.action;
    let messages = block_on(fetch(args))?;
    write(&args.dir, &messages)
        .with_context(|| format!("cannot write to {}", args.dir.display()))?;
    let noun = if messages.len() == 1 {
        "message"
    } else {
        "messages"
    };
    writeln!(
        io::stdout(),
        "{} {noun} written to {}",
        messages.len(),
        args.dir.display()
    )?;
    Ok(())
}

async fn fetch(args: &ExportArgs) -> anyhow::Result<Vec<Message>> {
    let mut url = args
        .url
        .join("/api/v1/quarantine")
        .context("cannot use this --url")?;
    url.query_pairs_mut().append_pair("bodies", "1");
    if let Some(queue) = &args.queue {
        url.query_pairs_mut().append_pair("queue", queue);
    }
    let client = transport::Options::default().client()?;
    let asked = client.get(url.clone()).timeout(TIMEOUT).send().await;
    let response = asked.with_context(|| format!("no exporter answers at {}", args.url))?;
    let status = response.status();
    let body = read_capped(reqwest::Body::from(response), MAX_ANSWER_BYTES).await?;
    let answer: Answer = serde_json::from_slice(&body)
        .with_context(|| format!("{url} answered {status} without the JSON of an exporter"))?;
    match answer.error {
        Some(error) => bail!("{} answered {status}: {error}", args.url),
        None if !status.is_success() => bail!("{} answered {status}", args.url),
        None => Ok(answer.messages),
    }
}

fn write(dir: &Path, messages: &[Message]) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir)?;
    for message in messages {
        let body = message
            .body
            .as_deref()
            .context("the exporter sent no body")?;
        let path = dir.join(format!("{}.body", message.number));
        create(&path, body.as_bytes())?;
    }
    let mut index = serde_json::to_vec_pretty(messages)?;
    index.push(b'\n');
    create(&dir.join("index.json"), &index)
}

fn create(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut file = std::fs::File::create_new(path)
        .with_context(|| format!("{}: choose an empty directory", path.display()))?;
    file.write_all(content)?;
    Ok(())
}
