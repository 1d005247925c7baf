//! `demo`: an emulated MNS, a simulated video platform, a worker that sometimes dies, and the exporter watching them.

pub(crate) mod simulations;
mod worker;

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;
use url::Url;

use self::simulations::Simulator;
use self::worker::Poison;
use crate::app::{self, App};
use crate::cli::ListenAddress;
use crate::commands::block_on;
use crate::config::{
    AccountConfig, AlertmanagerConfig, Config, Endpoint, MAX_URLS, Quarantine, QueueConfig,
    VodConfig, parse_url,
};
use crate::emulator::scenario::{Platform, Settings, driver};
use crate::emulator::vod::CallbackSettings;
use crate::emulator::{AttributesPatch, Behaviour, DeadLetterPolicy, Handle, Options, Server};
use crate::ledger::{Mode, Role};
use crate::signals::Signals;

const ACCESS_KEY_ID: &str = "demo-access-key-id";
const ACCESS_KEY_SECRET: &str = "demo-access-key-secret";
/// The queue that the exporter consumes.
const OWN: &str = "vod-callbacks";
/// The queue that a worker consumes while the exporter peeks.
const SHARED: &str = "vod-callbacks-worker";
/// Where messages go that the worker died on too often.
const DEAD_LETTERS: &str = "vod-dead-letters";
/// Deliveries after which a message is a dead letter.
const MAX_RECEIVE_COUNT: u32 = 4;
/// Short, so that what a dead worker held comes again while somebody looks.
const VISIBILITY_TIMEOUT_SECS: u32 = 4;
/// Short, so that one sees something soon; a real queue is read once a minute.
const TICK: Duration = Duration::from_secs(5);
/// Granted to a transcode, and the objective for being playable: short for the same reason.
const DEADLINE: Duration = Duration::from_secs(30);
/// Granted to a transcode of a calm platform, where none is slow: a stall shows the sooner.
const CALM_DEADLINE: Duration = Duration::from_secs(10);
/// Short, so that a stall is told from a slow transcode soon.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Between two sendings of what fires: short, so that curves of it move.
const RESEND: Duration = Duration::from_secs(20);
/// Where the emulator listens unless told otherwise or somebody else does.
const EMULATOR_PORT: u16 = 10_059;
/// VOD's region; that of a loopback MNS is unknown.
const VOD_REGION: &str = "cn-shanghai";

/// Flags of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Address to serve metrics on: HOST:PORT with IPv6 in brackets, or :PORT for all addresses
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        env = "VOD_CALLBACK_EXPORTER_WEB_LISTEN_ADDRESS",
        hide_env_values = true,
        default_value = "127.0.0.1:10058"
    )]
    listen_address: ListenAddress,
    /// Seed of the simulated platform: the same seed tells the same story
    #[arg(
        long,
        value_name = "NUMBER",
        env = "VOD_CALLBACK_EXPORTER_SEED",
        hide_env_values = true,
        default_value_t = 1
    )]
    seed: u64,
    /// Port of the emulator on the loopback interface; 0 takes a free one [default: 10059, or a free one]
    #[arg(
        long = "emulator.port",
        value_name = "PORT",
        env = "VOD_CALLBACK_EXPORTER_EMULATOR_PORT",
        hide_env_values = true
    )]
    emulator_port: Option<u16>,
    /// Nothing goes wrong by itself, only what `simulate` asks for
    #[arg(long, env = "VOD_CALLBACK_EXPORTER_CALM", hide_env_values = true)]
    calm: bool,
    /// Base URL of an Alertmanager that is told of single videos; repeat it to name all of a cluster
    #[arg(
        long = "alertmanager.url",
        value_name = "URL",
        env = "VOD_CALLBACK_EXPORTER_ALERTMANAGER_URL",
        hide_env_values = true,
        value_delimiter = ',',
        value_parser = parse_alertmanager
    )]
    alertmanagers: Vec<Url>,
}

/// Takes what the config file takes as one of its `alertmanager.urls`.
fn parse_alertmanager(text: &str) -> Result<Url, String> {
    let url = parse_url(text).filter(|url| url.query().is_none());
    url.ok_or_else(|| {
        "expected a URL such as http://alertmanager:9093, without user name and password".to_owned()
    })
}

const AFTER_HELP: &str = "\
Needs no account and no network: everything runs in this process and listens on the loopback interface. Ends with \
SIGINT (Ctrl-C) or SIGTERM.";

/// Runs until told to end.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    block_on(demo(args))
}

async fn demo(args: &Args) -> anyhow::Result<()> {
    let alertmanager = alertmanager(&args.alertmanagers)?;
    let mut signals = Signals::listen().context("cannot catch signals")?;
    let server = emulator(args)?;
    let url = server.url();
    let platform = Arc::new(Mutex::new(platform(args, &server.handle())));
    let emulator = server.handle();
    let told = Arc::clone(&platform);
    emulator.tell_truth(move || driver::truth(&told));
    emulator.set_callback(CallbackSettings {
        callback_type: "MNS".to_owned(),
        event_type_list: "ALL".to_owned(),
        mns_endpoint: url.clone(),
        mns_queue_name: OWN.to_owned(),
        ..CallbackSettings::default()
    });

    let ending = CancellationToken::new();
    let tasks = TaskTracker::new();
    tasks.spawn(server.run(ending.clone().cancelled_owned()));
    let options = app::Options {
        listen_address: args.listen_address.clone(),
        web_config: None,
        telemetry_path: "/metrics".to_owned(),
        state: None,
        loader: None,
        lifecycle: false,
        seed: args.seed,
    };
    let app = App::start(config(&url, args.calm, alertmanager)?, options).await?;
    // The screen is for a person; a closed stdout is no reason not to go on.
    _ = io::stdout().write_all(screen(app.address(), &url, args).as_bytes());
    let poison = Arc::new(Mutex::new(Poison::new(!args.calm)));
    let simulator = Simulator {
        platform: Arc::clone(&platform),
        emulator: emulator.clone(),
        poison: Arc::clone(&poison),
        exporter: app.address(),
    };
    emulator.simulate_with(move |body| simulator.answer(body));

    let working = CancellationToken::new();
    let simulation = {
        let (working, platform) = (working.clone(), Arc::clone(&platform));
        async move { driver::run(&platform, &emulator, &working).await }
    };
    tasks.spawn(simulation);
    tasks.spawn(worker::run(
        worker::client(&url)?,
        SHARED,
        poison,
        working.clone(),
    ));

    let signal = signals.next().await;
    info!(signal, "Ending the demo.");
    working.cancel();
    app.shutdown().await;
    ending.cancel();
    tasks.close();
    tasks.wait().await;
    Ok(())
}

fn emulator(args: &Args) -> anyhow::Result<Server> {
    let bind = |port| {
        let options = Options {
            seed: args.seed,
            ..Options::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET)
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Server::bind(address, options)
            .with_context(|| format!("cannot listen on {address} for the emulator"))
    };
    let server = match args.emulator_port {
        Some(port) => bind(port)?,
        // Another demo may be running.
        None => bind(EMULATOR_PORT).or_else(|_| bind(0))?,
    };
    let emulator = server.handle();
    // The platform plays bodies that are too large as well, which a real queue refuses.
    emulator.set_behaviour(Behaviour {
        limit_message_size: false,
        ..Behaviour::default()
    });
    let patch = AttributesPatch {
        visibility_timeout: Some(VISIBILITY_TIMEOUT_SECS),
        ..Default::default()
    };
    for queue in [OWN, SHARED, DEAD_LETTERS] {
        emulator.create_queue(queue, &patch)?;
    }
    let policy = DeadLetterPolicy {
        target: DEAD_LETTERS.to_owned(),
        max_receive_count: MAX_RECEIVE_COUNT,
    };
    emulator.set_dead_letter(SHARED, Some(policy))?;
    Ok(server)
}

fn platform(args: &Args, emulator: &Handle) -> Platform {
    let usual = if args.calm {
        Settings::calm()
    } else {
        Settings::default()
    };
    let settings = Settings {
        queues: vec![OWN.to_owned(), SHARED.to_owned()],
        ..usual
    };
    Platform::new(settings, args.seed, emulator.now())
}

/// Who is told of single videos; nobody unless asked for.
fn alertmanager(urls: &[Url]) -> anyhow::Result<Option<AlertmanagerConfig>> {
    ensure!(
        urls.len() <= MAX_URLS,
        "--alertmanager.url was given {} times; expected {MAX_URLS} at most",
        urls.len()
    );
    let mut named = BTreeSet::new();
    if let Some(twice) = urls.iter().find(|url| !named.insert(*url)) {
        bail!("--alertmanager.url names {twice} twice; remove one");
    }
    Ok((!urls.is_empty()).then(|| AlertmanagerConfig {
        resend: RESEND,
        ..AlertmanagerConfig::new(urls.to_vec())
    }))
}

fn config(
    url: &str,
    calm: bool,
    alertmanager: Option<AlertmanagerConfig>,
) -> anyhow::Result<Config> {
    let endpoint = Endpoint::parse(url)?;
    let account = Arc::new(AccountConfig::public(ACCESS_KEY_ID, ACCESS_KEY_SECRET));
    let queue = |name, mode, role| {
        let mut queue = QueueConfig::new(endpoint.clone(), name, mode, Arc::clone(&account));
        Arc::make_mut(&mut queue.identity).role = role;
        queue.tick = TICK;
        queue
    };
    let mut own = queue(OWN, Mode::Consume, Role::Callback);
    own.settings.transcodes.base = if calm { CALM_DEADLINE } else { DEADLINE };
    own.settings.transcodes.factor_millis = 500;
    own.settings.transcodes.playable_objective = DEADLINE;
    own.settings.transcodes.reconciled = true;
    own.vod = Some(VodConfig {
        region: VOD_REGION.into(),
        endpoint: Some(endpoint.url().clone()),
        app_id: None,
        no_transcode_template_groups: Vec::new(),
        requests_per_second: 1.0,
        poll_interval: POLL_INTERVAL,
    });
    Ok(Config {
        queues: vec![
            own,
            queue(SHARED, Mode::Peek, Role::Callback),
            queue(DEAD_LETTERS, Mode::Peek, Role::DeadLetter),
        ],
        alertmanager,
        quarantine: Quarantine {
            expose_bodies: true,
            ..Config::default().quarantine
        },
        ..Config::default()
    })
}

fn screen(address: SocketAddr, emulator: &str, args: &Args) -> String {
    let urls: Vec<&str> = args.alertmanagers.iter().map(Url::as_str).collect();
    let alerts = if urls.is_empty() {
        String::new()
    } else {
        format!("  video alerts  are sent to {}\n", urls.join(", "))
    };
    let promise = if args.calm {
        "Nothing goes wrong by itself. What to look at, where asked for trouble:"
    } else {
        "Within a minute all of these move:"
    };
    format!(
        "
A simulated video platform uploads and transcodes; its callbacks go to an emulated MNS.

  start page    http://{address}/
  metrics       http://{address}/metrics
  queues        http://{address}/api/v1/queues
  quarantine    http://{address}/api/v1/quarantine
  the truth     {emulator}/truth
  trouble       vod-callback-exporter simulate --url={emulator} stalled-transcode
                (or failed-transcode, poison, silence; --resolve ends it)
{alerts}
  {OWN:<22} the exporter consumes it: everything is seen
  {SHARED:<22} a worker consumes it and sometimes dies; the exporter only peeks
  {DEAD_LETTERS:<22} messages that the worker died on more than {MAX_RECEIVE_COUNT} times

{promise}

  events        curl -s {address}/metrics | grep -E '^vod_events_total' | grep -v ' 0$'
  failures      curl -s {address}/metrics | grep -E '^vod_event_(failures|faults)_total' | grep -v ' 0$'
  latency       curl -s {address}/metrics | grep -E '^(vod_event_delivery|mns_message_wait|vod_stream_transcode)_seconds_(sum|count)'
  backlog       curl -s {address}/metrics | grep -E '^mns_queue_(messages|oldest|progress)'
  redelivery    curl -s {address}/metrics | grep -E '^mns_(message_redeliveries_total|queue_dequeue_count_max)'
  transcodes    curl -s {address}/metrics | grep -E '^vod_(transcodes_|playable_|callbacks_|reconciliations_)' | grep -v ' 0$'

--log.level=info shows what is logged. Ctrl-C ends all.

"
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Demo {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn alertmanagers_are_named_as_in_the_config_file() {
        let parse = |urls: &[&str]| {
            let flags = urls.iter().map(|url| format!("--alertmanager.url={url}"));
            let Demo { args } = Demo::try_parse_from(["demo".to_owned()].into_iter().chain(flags))
                .map_err(|error| error.to_string())?;
            alertmanager(&args.alertmanagers).map_err(|error| error.to_string())
        };
        assert_eq!(parse(&[]), Ok(None));
        let two = ["http://127.0.0.1:9093", "https://am.example/path"];
        let named = parse(&two).unwrap().unwrap();
        assert_eq!(named.urls, two.map(|url| Url::parse(url).unwrap()));
        for wrong in [
            "127.0.0.1:9093",
            "http://me:secret@host",
            "http://host/?a=b",
        ] {
            let said = parse(&[wrong]).unwrap_err();
            assert!(said.contains("expected a URL such as"), "{said}");
        }
        let said = parse(&[two[0], two[0]]).unwrap_err();
        assert!(said.ends_with("twice; remove one"), "{said}");
        let many: Vec<String> = (0..17).map(|host| format!("http://h{host}")).collect();
        let said = parse(&many.iter().map(String::as_str).collect::<Vec<_>>()).unwrap_err();
        assert!(said.ends_with("expected 16 at most"), "{said}");
    }

    #[tokio::test]
    async fn the_emulator_takes_whatever_the_platform_pushes() {
        let Demo { args } = Demo::parse_from(["demo", "--emulator.port=0"]);
        let server = emulator(&args).unwrap();
        let handle = server.handle();
        let mut platform = platform(&args, &handle);
        let mut too_large = 0;
        while too_large == 0 {
            for push in platform.step(platform.next_due().unwrap()) {
                handle.send(&push.queue, &push.body).unwrap();
            }
            let queues = platform.truth().queues.values();
            too_large = queues
                .filter_map(|queue| queue.decode_failures.get("too_large"))
                .sum();
        }
    }
}
