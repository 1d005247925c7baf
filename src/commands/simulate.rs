//! `simulate`: drives a running demo into trouble, and says what will be seen of it.

use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;
use url::Url;

use crate::aliyun::transport;
use crate::commands::block_on;
use crate::commands::demo::simulations::{MAX_COUNT, MAX_SECONDS, Request, Simulation, Told};
use crate::http::read_capped;

/// Each video or message is a line.
const MAX_ANSWER_BYTES: usize = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);
const ROUTE: &str = "/-/emulator/simulate";
const HINT: &str =
    "start `vod-callback-exporter demo` and pass the URL that its screen shows beside `trouble`";

/// Flags of `simulate`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// What to drive the demo into
    simulation: Simulation,
    /// Address of the demo's emulator, which its screen shows
    #[arg(
        long,
        value_name = "URL",
        env = "VOD_CALLBACK_EXPORTER_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:10059"
    )]
    url: Url,
    /// How many videos or messages
    #[arg(
        long,
        value_name = "NUMBER",
        env = "VOD_CALLBACK_EXPORTER_COUNT",
        hide_env_values = true,
        default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_COUNT))
    )]
    count: u16,
    /// How long a stall or a silence lasts [default: 200 and 150; at least 150 and 120]
    #[arg(
        long,
        value_name = "NUMBER",
        env = "VOD_CALLBACK_EXPORTER_SECONDS",
        hide_env_values = true,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SECONDS))
    )]
    seconds: Option<u32>,
    /// End it now rather than begin it
    #[arg(
        long,
        env = "VOD_CALLBACK_EXPORTER_RESOLVE",
        hide_env_values = true,
        conflicts_with_all = ["seconds", "count"]
    )]
    resolve: bool,
}

const AFTER_HELP: &str = "\
Prints what will be seen of it, where and by when. Only a demo can be driven; nothing here reaches an exporter or a queue \
of yours.";

#[derive(Deserialize)]
struct Refused {
    error: String,
}

/// Asks the demo, and prints its answer.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    let told = block_on(ask(args))?;
    let mut out = io::stdout().lock();
    for line in told.lines {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

async fn ask(args: &Args) -> anyhow::Result<Told> {
    let request = Request {
        simulation: args.simulation,
        count: args.count,
        seconds: args.seconds,
        resolve: args.resolve,
    };
    let url = args.url.join(ROUTE).context("cannot use this --url")?;
    let client = transport::Options::default().client()?;
    let asked = client
        .post(url)
        .timeout(TIMEOUT)
        .body(serde_json::to_vec(&request)?);
    let response = asked
        .send()
        .await
        .with_context(|| format!("no demo answers at {}; {HINT}", args.url))?;
    let status = response.status();
    let body = read_capped(reqwest::Body::from(response), MAX_ANSWER_BYTES).await?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|_| no_demo(&args.url, status.as_u16()));
    }
    match serde_json::from_slice::<Refused>(&body) {
        Ok(refused) if status.as_u16() == 400 => {
            bail!("the demo at {} refused: {}", args.url, refused.error)
        }
        _ => Err(no_demo(&args.url, status.as_u16())),
    }
}

fn no_demo(url: &Url, status: u16) -> anyhow::Error {
    anyhow!("{url} is no demo: it answered {status} to POST {ROUTE}; {HINT}")
}
