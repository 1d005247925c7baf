//! `emulate`: a local MNS on a port.

use std::io::Write as _;

use anyhow::{Context as _, anyhow};

use crate::cli::ListenAddress;
use crate::commands::block_on;
use crate::emulator::{AttributesPatch, Credentials, Options, Server};
use crate::signals::Signals;

/// Runs a local MNS for development and tests.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Address to listen on: HOST:PORT with IPv6 in brackets, or :PORT for all addresses; port 0 takes a free one.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:0",
        env = "VOD_CALLBACK_EXPORTER_LISTEN",
        hide_env_values = true
    )]
    listen: ListenAddress,
    /// Access key id that clients must use.
    #[arg(
        long,
        value_name = "ID",
        env = "VOD_CALLBACK_EXPORTER_ACCESS_KEY_ID",
        hide_env_values = true
    )]
    access_key_id: String,
    /// Secret that clients must sign with.
    #[arg(
        long,
        value_name = "SECRET",
        env = "VOD_CALLBACK_EXPORTER_ACCESS_KEY_SECRET",
        hide_env_values = true
    )]
    access_key_secret: String,
    /// Makes the access key a temporary one: requests must carry this security token.
    #[arg(
        long,
        value_name = "TOKEN",
        env = "VOD_CALLBACK_EXPORTER_SECURITY_TOKEN",
        hide_env_values = true
    )]
    security_token: Option<String>,
    /// Region that version 4 signatures must name; any if left out.
    #[arg(long, env = "VOD_CALLBACK_EXPORTER_REGION", hide_env_values = true)]
    region: Option<String>,
    /// Account id shown in dead letters.
    #[arg(
        long,
        default_value = "1234567890123456",
        env = "VOD_CALLBACK_EXPORTER_ACCOUNT_ID",
        hide_env_values = true
    )]
    account_id: String,
    /// Queue to create at the start; may be given several times, or several with commas between.
    #[arg(
        long = "queue",
        value_name = "NAME",
        env = "VOD_CALLBACK_EXPORTER_QUEUE",
        value_delimiter = ',',
        hide_env_values = true
    )]
    queues: Vec<String>,
    /// Seed of everything random: stripe order, request ids, shares of faults.
    #[arg(
        long,
        default_value_t = 0,
        env = "VOD_CALLBACK_EXPORTER_SEED",
        hide_env_values = true
    )]
    seed: u64,
}

/// Serves until SIGTERM or SIGINT. Prints one line with the address once it listens.
pub fn execute(args: Args) -> anyhow::Result<()> {
    block_on(serve(args))
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let credentials = Credentials {
        access_key_id: args.access_key_id,
        access_key_secret: args.access_key_secret,
        security_token: args.security_token,
    };
    credentials.check().map_err(|unusable| {
        let flag = unusable.field.replace('_', "-");
        anyhow!("--{flag} {}", unusable.reason)
    })?;
    let options = Options {
        credentials,
        region: args.region,
        account_id: args.account_id,
        seed: args.seed,
        ..Options::new("", "")
    };
    let server = Server::from_std(args.listen.bind("--listen")?, options)?;
    for name in &args.queues {
        server
            .handle()
            .create_queue(name, &AttributesPatch::default())
            .with_context(|| format!("cannot create queue {name:?} named by --queue"))?;
    }
    // Whoever started the process waits for this line to learn the port; a closed stdout is no reason not to serve.
    _ = writeln!(std::io::stdout(), "Listening on {}", server.url());
    let shutdown = async {
        signals.next().await;
    };
    server.run(shutdown).await;
    Ok(())
}
