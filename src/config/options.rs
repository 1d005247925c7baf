//! Every option of the file: what the reader accepts and what the documentation says.

use std::fmt::Write as _;

use super::MAX_QUEUES;
use super::alertmanager::OWN_LABELS;
pub use super::value::Kind;

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct ConfigOption {
    /// Its path; `*` stands for a name of the user's, `[]` for any item of a list.
    pub path: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What holds where it is absent, as prose or as it would be written.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Whether it may also stand under `defaults`, for all queues that do not say otherwise.
    pub inherited: bool,
}

const ID: &str =
    "environment variable `ALIBABA_CLOUD_ACCESS_KEY_ID` in account `default`, else required";
const SECRET: &str =
    "environment variable `ALIBABA_CLOUD_ACCESS_KEY_SECRET` in account `default`, else required";
const TOKEN: &str =
    "environment variable `ALIBABA_CLOUD_SECURITY_TOKEN` in account `default`, else no token";
const OTHER_FORM: &str = "the same as the option above";

/// Every option, in the order of the documentation.
pub const OPTIONS: &[ConfigOption] = &[
    option(
        "accounts",
        Kind::Tables,
        "account `default`",
        "Credentials by a name of your choice. An account that is named nowhere needs no entry: `default` takes the environment's access key, or else the vendor's chain.",
    ),
    option(
        "accounts.*.access_key_id_file",
        Kind::File,
        ID,
        "File that holds the AccessKey's id.",
    ),
    option(
        "accounts.*.access_key_id_env",
        Kind::Variable,
        OTHER_FORM,
        "Environment variable that holds the AccessKey's id.",
    ),
    option(
        "accounts.*.access_key_secret_file",
        Kind::File,
        SECRET,
        "File that holds the AccessKey's secret.",
    ),
    option(
        "accounts.*.access_key_secret_env",
        Kind::Variable,
        OTHER_FORM,
        "Environment variable that holds the AccessKey's secret.",
    ),
    option(
        "accounts.*.security_token_file",
        Kind::File,
        TOKEN,
        "File that holds the token of temporary credentials.",
    ),
    option(
        "accounts.*.security_token_env",
        Kind::Variable,
        OTHER_FORM,
        "Environment variable that holds the token of temporary credentials.",
    ),
    option(
        "accounts.*.credentials",
        Kind::Choice(&[
            "auto",
            "chain",
            "environment",
            "oidc",
            "cli_profile",
            "ini",
            "ecs",
            "uri",
        ]),
        "auto",
        "Who gives the credentials. `auto`: the access key named above, and in account `default` without one that of the environment, else `chain`. `chain`: the vendor's default chain, which is the providers that follow in this order, until one has some. Else this provider and no other. See [credentials.md](credentials.md).",
    ),
    option(
        "accounts.*.profile",
        Kind::Label,
        "environment variable `ALIBABA_CLOUD_PROFILE`, else the file's own default",
        "`cli_profile` and `ini`: profile, or section, in the file.",
    ),
    option(
        "accounts.*.role_arn",
        Kind::Label,
        "environment variable `ALIBABA_CLOUD_ROLE_ARN`",
        "`oidc`: RAM role to take.",
    ),
    option(
        "accounts.*.oidc_provider_arn",
        Kind::Label,
        "environment variable `ALIBABA_CLOUD_OIDC_PROVIDER_ARN`",
        "`oidc`: OIDC provider in RAM that issues the token.",
    ),
    option(
        "accounts.*.oidc_token_file",
        Kind::File,
        "environment variable `ALIBABA_CLOUD_OIDC_TOKEN_FILE`",
        "`oidc`: file with the token, which is read each time.",
    ),
    option(
        "accounts.*.ecs_role",
        Kind::Label,
        "environment variable `ALIBABA_CLOUD_ECS_METADATA`, else the metadata service is asked",
        "`ecs`: RAM role of the instance.",
    ),
    option(
        "accounts.*.credentials_uri",
        Kind::Url("http://localhost:8080/credentials"),
        "environment variable `ALIBABA_CLOUD_CREDENTIALS_URI`",
        "`uri`: where credentials are handed out.",
    ),
    option(
        "accounts.*.metadata_endpoint",
        Kind::Url("http://100.100.100.200"),
        "`http://100.100.100.200`",
        "`ecs`: URL of the metadata service.",
    ),
    option(
        "accounts.*.sts_endpoint",
        Kind::Url("https://sts.cn-shanghai.aliyuncs.com"),
        "by `ALIBABA_CLOUD_STS_REGION` and `ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED`, else `https://sts.aliyuncs.com`",
        "URL of STS.",
    ),
    option(
        "accounts.*.signature",
        Kind::Choice(&["v2", "v4"]),
        "v2",
        "Signature of requests. Every region takes `v2` (HMAC-SHA1); `v4` (HMAC-SHA256) needs the region.",
    ),
    option(
        "accounts.*.ca_file",
        Kind::File,
        "the system's certificates",
        "File with the PEM certificates to trust instead of the system's.",
    ),
    option(
        "accounts.*.proxy",
        Kind::Proxy,
        "none; the environment is not asked",
        "HTTP proxy for requests of this account.",
    ),
    option(
        "defaults",
        Kind::Table,
        "empty",
        "Options for all queues that do not say otherwise.",
    ),
    option(
        "queues",
        Kind::List,
        "required",
        "The queues to watch, at least one. An entry has either a `name` or a `prefix`.",
    ),
    option(
        "queues[].name",
        Kind::QueueName,
        "required without `prefix`",
        "Name of the queue in MNS.",
    ),
    option(
        "queues[].prefix",
        Kind::QueuePrefix,
        "required without `name`",
        "Watches every queue whose name begins so; empty for every queue of the endpoint. A queue that has an entry of its own keeps to that.",
    ),
    option(
        "queues[].id",
        Kind::Label,
        "the name in MNS",
        "Value of the label `queue`. Counters belong to it: a queue with another id starts at 0.",
    ),
    option(
        "queues[].role",
        Kind::Choice(&["callback", "dead_letter"]),
        "callback",
        "What the queue is for: VOD's callbacks, or what another queue's consumers gave up. A dead-letter queue is only peeked at.",
    ),
    inherited(
        "queues[].endpoint",
        Kind::Endpoint,
        "required",
        "Endpoint of MNS, as its console shows it.",
    ),
    inherited(
        "queues[].region",
        Kind::Region,
        "from the endpoint's host",
        "Region of the endpoint, for the label `mns_region` and signature `v4`. Needed only for a host of your own.",
    ),
    inherited(
        "queues[].account",
        Kind::Label,
        "default",
        "Account under `accounts` whose credentials are used.",
    ),
    inherited(
        "queues[].mode",
        Kind::Choice(&["peek", "consume"]),
        "peek",
        "`peek` looks at a queue that somebody else consumes and changes nothing. `consume` receives every message, counts it and DELETES it: for a queue of the exporter's own.",
    ),
    inherited(
        "queues[].tick",
        Kind::Seconds(10, 300),
        "60s",
        "Time between reads of the queue's attributes, and in `peek` of its messages. Every read is billed. Alerts come later by what it is above a minute; a longer time would look like a queue that cannot be read.",
    ),
    inherited(
        "queues[].long_poll",
        Kind::Seconds(1, 30),
        "30s",
        "`consume`: how long a receive waits for messages. Every receive is billed.",
    ),
    inherited(
        "queues[].workers",
        Kind::Count(1, 64),
        "8",
        "`consume`: the most receives at a time. How many there are follows the backlog.",
    ),
    inherited(
        "queues[].streams_from",
        Kind::Choice(&["events", "summary"]),
        "events",
        "What counts transcoded streams: `StreamTranscodeComplete` events, or, where those are not subscribed to, the list in `TranscodeComplete`.",
    ),
    option(
        "queues[].forward",
        Kind::Table,
        "none",
        "`consume`: the queue of a worker that every message is passed on to, unchanged, before it is deleted. At least once: a worker may see a message twice. While the target is down, nothing is deleted, and messages come again after their visibility timeout: mind the source's dead-letter policy. What the target refuses for good goes to quarantine.",
    ),
    option(
        "queues[].forward.name",
        Kind::QueueName,
        "required",
        "Name of the target in MNS.",
    ),
    option(
        "queues[].forward.endpoint",
        Kind::Endpoint,
        "the queue's own",
        "Endpoint of the target's MNS.",
    ),
    option(
        "queues[].forward.account",
        Kind::Label,
        "the queue's own",
        "Account under `accounts` that may send to the target.",
    ),
    inherited(
        "queues[].transcodes",
        Kind::Table,
        "as below",
        "When a transcode is overdue, and what is expected of an upload.",
    ),
    option(
        "queues[].transcodes.base",
        Kind::Seconds(1, 86_400),
        "15m",
        "Time that every transcode is granted.",
    ),
    option(
        "queues[].transcodes.factor",
        Kind::Number(0, 100_000),
        "2",
        "Time that a transcode is granted beyond `base`, as a multiple of the media's duration.",
    ),
    option(
        "queues[].transcodes.unknown_duration",
        Kind::Seconds(1, 604_800),
        "1h",
        "Time that a transcode is granted while the media's duration is unknown.",
    ),
    option(
        "queues[].transcodes.abandon_after",
        Kind::Seconds(3_600, 1_296_000),
        "48h",
        "Time after which nobody waits for a transcode any more.",
    ),
    option(
        "queues[].transcodes.expect",
        Kind::Choice(&["some", "every_upload"]),
        "some",
        "Which uploads are transcoded. With `every_upload`, one of which no stream is seen in time is stalled even if VOD cannot be asked.",
    ),
    option(
        "queues[].transcodes.playable_objective",
        Kind::TranscodeBound,
        "10m",
        "Time from upload to the first good stream within which a video is counted as good.",
    ),
    option(
        "queues[].transcodes.max_videos",
        Kind::Count(1_000, 5_000_000),
        "200000",
        "The most videos that are remembered, ended ones included.",
    ),
    inherited(
        "queues[].vod",
        Kind::Table,
        "none: VOD is not asked",
        "Asks VOD's API, with the queue's account, about overdue transcodes before they are called stalled. `vod: {}` takes every default.",
    ),
    option(
        "queues[].vod.region",
        Kind::Region,
        "the queue's region",
        "Region of VOD.",
    ),
    option(
        "queues[].vod.endpoint",
        Kind::VodEndpoint,
        "VOD's host of the region",
        "URL of VOD's API.",
    ),
    option(
        "queues[].vod.app_id",
        Kind::Label,
        "the default application",
        "Application of VOD whose callbacks come to the queue.",
    ),
    option(
        "queues[].vod.no_transcode_template_groups",
        Kind::Labels,
        "none",
        "Ids of template groups that transcode nothing: no transcode is expected of their uploads.",
    ),
    option(
        "queues[].vod.requests_per_second",
        Kind::Number(10, 100_000),
        "1",
        "The most requests to VOD's API in a second.",
    ),
    option(
        "alertmanager",
        Kind::Table,
        "none: no alert is sent",
        "Sends an alert for each video that is stalled, or whose transcode failed by no fault of the uploaded file. See [alertmanager.md](alertmanager.md).",
    ),
    option(
        "alertmanager.urls",
        Kind::Urls("http://alertmanager:9093"),
        "required",
        "Every Alertmanager of the cluster, never a load balancer before them. A name is looked up again and again, and all its addresses are sent to; of IPv4 and IPv6 those that accept connections.",
    ),
    option(
        "alertmanager.resend",
        Kind::Seconds(10, 3600),
        "60s",
        "How often what fires is sent again. An alert ends by itself after three times as long without the exporter.",
    ),
    option(
        "alertmanager.labels",
        Kind::LabelMap(OWN_LABELS),
        "none",
        "Labels of every alert beside its own `alertname`, `queue`, `severity`, `stage` and `video_id`; names are those of Prometheus and begin not with `__`. For what Prometheus adds to alerts of rules as `external_labels`, so that one route or inhibition fits both. Replicas need the same.",
    ),
    option(
        "alertmanager.runbooks",
        Kind::Base("https://wiki.example.org/runbooks"),
        "`https://runbooks.example.com/vod-callback-exporter`, which leads nowhere",
        "Where docs/runbooks is published, for the annotation `runbook_url`.",
    ),
    option(
        "alertmanager.grafana",
        Kind::Base("https://grafana.example.org"),
        "`https://grafana.example.com`, which leads nowhere",
        "Where Grafana with the boards of `dashboards/` is, for the annotation `dashboard_url` and the link *Source*.",
    ),
    option(
        "alertmanager.username",
        Kind::Label,
        "none",
        "User of basic authentication.",
    ),
    option(
        "alertmanager.password_file",
        Kind::File,
        "required beside `username`",
        "File that holds the user's password. It is read with each call.",
    ),
    option(
        "alertmanager.password_env",
        Kind::Variable,
        OTHER_FORM,
        "Environment variable that holds the user's password.",
    ),
    option(
        "alertmanager.bearer_token_file",
        Kind::File,
        "none",
        "File that holds a bearer token. It is read with each call.",
    ),
    option(
        "alertmanager.bearer_token_env",
        Kind::Variable,
        OTHER_FORM,
        "Environment variable that holds a bearer token.",
    ),
    option(
        "alertmanager.ca_file",
        Kind::File,
        "the system's certificates",
        "File with the PEM certificates to trust instead of the system's. It is read with each call.",
    ),
    option(
        "alertmanager.cert_file",
        Kind::File,
        "none",
        "File with the PEM certificate to show. It is read with each call.",
    ),
    option(
        "alertmanager.key_file",
        Kind::File,
        "required beside `cert_file`",
        "File with the PEM key of that certificate. It is read with each call.",
    ),
    option(
        "quarantine",
        Kind::Table,
        "as below",
        "What becomes of messages that cannot be decoded, or that a forward target refuses for good.",
    ),
    option(
        "quarantine.max_bytes",
        Kind::Bytes(1 << 16, 1 << 28),
        "4MiB",
        "Size of the bodies kept, over all queues. The oldest leave first, counted.",
    ),
    option(
        "quarantine.expose_bodies",
        Kind::Flag,
        "false",
        "Whether the API shows the bodies, which hold titles and URLs of videos.",
    ),
];

/// The documentation of the file, as Markdown.
pub fn render() -> String {
    let mut page = format!("{HEAD}{}", table(OPTIONS));
    _ = write!(
        page,
        "{}",
        TAIL.replace("{MAX_QUEUES}", &MAX_QUEUES.to_string())
    );
    page
}

/// Options as a table in Markdown.
pub(super) fn table(options: &[ConfigOption]) -> String {
    let mut page = "| option | takes | default | meaning |\n|---|---|---|---|\n".to_owned();
    for option in options {
        let mark = if option.inherited { " *" } else { "" };
        // Writing to a String cannot fail.
        _ = writeln!(
            page,
            "| `{}`{mark} | {} | {} | {} |",
            option.path,
            option.kind,
            default_cell(option),
            option.meaning
        );
    }
    page
}

/// A default that could be written into the file is set as code.
fn default_cell(option: &ConfigOption) -> String {
    let literal = matches!(
        option.kind,
        Kind::Choice(_)
            | Kind::Count(..)
            | Kind::Seconds(..)
            | Kind::Bytes(..)
            | Kind::Flag
            | Kind::Number(..)
            | Kind::TranscodeBound
    ) || option.default == "default";
    if literal {
        format!("`{}`", option.default)
    } else {
        option.default.to_owned()
    }
}

pub(super) const fn option(
    path: &'static str,
    kind: Kind,
    default: &'static str,
    meaning: &'static str,
) -> ConfigOption {
    ConfigOption {
        path,
        kind,
        default,
        meaning,
        inherited: false,
    }
}

const fn inherited(
    path: &'static str,
    kind: Kind,
    default: &'static str,
    meaning: &'static str,
) -> ConfigOption {
    ConfigOption {
        path,
        kind,
        default,
        meaning,
        inherited: true,
    }
}

const HEAD: &str = "\
# Config file

<!-- Written from src/config/options.rs by `UPDATE_DOCS=1 cargo test --test config`. Change it there. -->

`vod-callback-exporter run --config.file=FILE` reads one YAML file;
`vod-callback-exporter check-config --config.file=FILE` says everything that is wrong with it. A commented example with every
option is `config/vod-callback-exporter.example.yaml`. Flags of the process, such as the address to listen on, are not in
the file: see `vod-callback-exporter run --help`.

Options marked * may also stand under `defaults`, without `queues[].`.

";

const TAIL: &str = "
- Times are written with their unit: `90s`, `1m 30s`, `1h`. A day (`1d`) is 24 hours. Sizes are bytes or have a unit: `4MiB`,
  `500kB`.
- Paths of files are relative to the directory of the config file.
- Secrets are never written into the file. It names a file (`.._file`) or an environment variable (`.._env`), one of the two.
- There are at most {MAX_QUEUES} queues, discovered ones included. No two entries may mean the same queue in MNS or have the
  same id.
- A queue is not passed on to itself, nor queues to each other in a circle.
- An `http` endpoint on a public network is warned about: its requests can be read on their way.

## Reading it again

SIGHUP reads the file again, and so does a POST or PUT to `/-/reload` where the exporter was started with
`--web.enable-lifecycle`: 200 and what changed, or 500 and every problem.

- A bad file changes nothing: what was there before stays in force, and
  `vod_callback_exporter_config_last_reload_successful` is 0.
- Queues that are the same go on untouched. New ones start; those that are gone stop once what was received is deleted,
  passed on or released, and leave `/metrics`. A changed queue starts anew and keeps what it has counted.
- A queue is the same queue as long as endpoint and name in MNS are, whatever its id.
- Only `quarantine.max_bytes` takes effect after a restart. Flags are not in the file.
- The file with TLS and users needs none of this: see [web-config.md](web-config.md).
";
