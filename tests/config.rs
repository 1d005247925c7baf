//! The config file: what is wrong with it is said completely, and its example and documentation say what holds.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use proptest::prelude::*;
use vod_callback_exporter::aliyun::credentials::{ProviderName, Settings};
use vod_callback_exporter::aliyun::sign;
use vod_callback_exporter::config::options::{Kind, OPTIONS, render};
use vod_callback_exporter::config::{AlertmanagerAuth, Config, ConfigError, SingleQueue};
use vod_callback_exporter::ledger::StreamsFrom;
use vod_callback_exporter::ledger::snapshot::{Mode, Role};

/// An account whose variables every test process has, and an endpoint.
const HEAD: &str = "\
accounts: {main: {access_key_id_env: CARGO_PKG_NAME, access_key_secret_env: CARGO_PKG_NAME}}
defaults: {account: main, endpoint: \"https://1234.mns.cn-shanghai.aliyuncs.com\"}
";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse("vod.yaml", text, Some(Path::new("/nonexistent")))
}

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|error| panic!("{error}"))
}

/// All problems of `text`, a line each.
fn problems(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

/// All problems of entries of `queues` behind [`HEAD`].
fn queue_problems(entries: &str) -> String {
    problems(&format!("{HEAD}queues:\n{entries}"))
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn a_queue_needs_endpoint_and_name_only() {
    let config = good(&format!("{HEAD}queues: [{{name: vod}}]"));
    let [queue] = config.queues.as_slice() else {
        panic!("{config:?}")
    };
    let identity = &queue.identity;
    assert_eq!(&*identity.id, "vod");
    assert_eq!(&*identity.mns_queue, "vod");
    assert_eq!(
        &*identity.endpoint,
        "https://1234.mns.cn-shanghai.aliyuncs.com"
    );
    assert_eq!(&*identity.account, "1234");
    assert_eq!(&*identity.region, "cn-shanghai");
    assert_eq!((identity.mode, identity.role), (Mode::Peek, Role::Callback));
    assert_eq!(queue.settings.streams_from, StreamsFrom::Events);
    assert_eq!(queue.account.signature, sign::Version::V2);
    assert_eq!(config.warnings, []);
}

#[test]
fn a_queue_inherits_what_it_does_not_say() {
    let config = good(&format!(
        "{}queues: [{{name: a}}, {{name: b, mode: peek, tick: 5m}}]",
        HEAD.replace("account: main,", "account: main, mode: consume, tick: 20s,")
    ));
    let seen: Vec<_> = config
        .queues
        .iter()
        .map(|queue| {
            (
                &*queue.identity.id,
                queue.identity.mode,
                queue.tick.as_secs(),
            )
        })
        .collect();
    assert_eq!(seen, [("a", Mode::Consume, 20), ("b", Mode::Peek, 300)]);
}

#[test]
fn a_prefix_makes_queues_by_name() {
    let config = good(&format!("{HEAD}queues: [{{prefix: vod-, tick: 10s}}]"));
    assert_eq!(config.queues.len(), 0);
    let queue = config.discoveries[0].queue("vod-7");
    assert_eq!(
        (&*queue.identity.id, &*queue.identity.mns_queue),
        ("vod-7", "vod-7")
    );
    assert_eq!(&*queue.identity.region, "cn-shanghai");
    assert_eq!(queue.tick.as_secs(), 10);
}

#[test]
fn anchors_and_merge_keys_save_repetition() {
    let config = good(&format!(
        "{HEAD}queues: [&a {{name: a, tick: 5m}}, {{<<: *a, name: b}}]"
    ));
    let ticks: Vec<_> = config
        .queues
        .iter()
        .map(|queue| queue.tick.as_secs())
        .collect();
    assert_eq!(ticks, [300, 300]);
}

#[test]
fn documented_defaults_hold() {
    let implicit = good(&format!("{HEAD}queues: [{{name: vod}}]"));
    let defaults = |table: &str| {
        OPTIONS
            .iter()
            .filter(|option| {
                matches!(
                    option.kind,
                    Kind::Choice(_)
                        | Kind::Count(..)
                        | Kind::Seconds(..)
                        | Kind::Bytes(..)
                        | Kind::Flag
                        | Kind::Number(..)
                        | Kind::TranscodeBound
                )
            })
            .filter_map(|option| {
                let key = option.path.strip_prefix(table)?;
                if key.contains('.') {
                    return None;
                }
                Some(format!("{key}: {}", option.default))
            })
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (account, queue, transcodes, quarantine) = (
        defaults("accounts.*."),
        defaults("queues[]."),
        defaults("queues[].transcodes."),
        defaults("quarantine."),
    );
    assert_eq!(transcodes.split(", ").count(), 7, "{transcodes}");
    assert_eq!(queue.split(", ").count(), 6, "{queue}");
    // Without consume, options of consume are warned about; that is no other config.
    let mut explicit = good(&format!(
        "{}queues: [{{name: vod, {queue}, transcodes: {{{transcodes}}}}}]\nquarantine: {{{quarantine}}}",
        HEAD.replace(
            "{access_key_id_env",
            &format!("{{{account}, access_key_id_env")
        )
    ));
    explicit.warnings.clear();
    assert_eq!(format!("{explicit:?}"), format!("{implicit:?}"));
}

#[test]
fn transcodes_and_vod_are_inherited_key_by_key() {
    let config = good(&format!(
        "{}queues:
- {{name: a, transcodes: {{factor: 0.5, expect: every_upload}}, vod: {{app_id: app-1}}}}
- {{name: b, vod: {{region: cn-beijing, no_transcode_template_groups: [g1, g2]}}}}
- {{name: c, role: dead_letter}}
",
        HEAD.replace(
            "account: main,",
            "account: main, transcodes: {base: 20m, factor: 3, playable_objective: 60s}, \
             vod: {requests_per_second: 0.25, endpoint: \"http://127.0.0.1:1\"},"
        )
    ));
    let [a, b, c] = config.queues.as_slice() else {
        panic!("{config:?}")
    };
    let transcodes = a.settings.transcodes;
    assert_eq!(
        (transcodes.base.as_secs(), transcodes.factor_millis),
        (1_200, 500)
    );
    assert_eq!(transcodes.playable_objective.as_secs(), 60);
    assert!(transcodes.expect_every_upload && transcodes.reconciled);
    assert!(!b.settings.transcodes.expect_every_upload);
    let [first, second] = [a, b].map(|queue| queue.vod.as_ref().unwrap());
    assert_eq!(
        (&*first.region, first.app_id.as_deref()),
        ("cn-shanghai", Some("app-1"))
    );
    assert!(first.requests_per_second < 0.26 && first.endpoint.is_some());
    assert_eq!((&*second.region, &second.app_id), ("cn-beijing", &None));
    assert_eq!(second.no_transcode_template_groups.len(), 2);
    assert!(c.vod.is_none() && !c.settings.transcodes.reconciled);
    let implicit = good(&format!("{HEAD}queues: [{{name: a, vod: }}]"));
    assert!(implicit.queues[0].settings.transcodes.reconciled);
}

#[test]
fn a_forward_target_is_reached_as_the_queue_is_unless_it_says_otherwise() {
    let config = good(&format!(
        "{HEAD}queues:
- {{name: a, mode: consume, forward: {{name: worker}}}}
- {{name: b, mode: consume, forward: {{name: a, endpoint: \"https://9.mns.cn-beijing.aliyuncs.com\"}}}}
- {{name: c, mode: consume, forward: {{name: d}}}}
- {{name: d, mode: consume, forward: {{name: worker}}}}
"
    ));
    let [a, b, ..] = config.queues.as_slice() else {
        panic!("{config:?}")
    };
    let [first, second] = [a, b].map(|queue| queue.forward.as_ref().unwrap());
    assert_eq!((&*first.name, &first.endpoint), ("worker", &a.endpoint));
    assert_eq!(
        (&*first.region, &*second.region),
        ("cn-shanghai", "cn-beijing")
    );
    assert_eq!(first.account, a.account);
    assert_eq!(config.warnings, []);
}

#[test]
fn messages_are_not_passed_on_in_circles_nor_where_they_stay() {
    assert_snapshot!(
        "forward",
        queue_problems(
            "- {name: a, forward: {name: w}}
- {prefix: p, mode: consume, forward: {name: w}}
- {name: c, mode: consume, forward: {name: c, endpoint: \"https://1234.mns.cn-shanghai-internal.aliyuncs.com\"}}
- {name: d, mode: consume, forward: {name: e}}
- {name: e, mode: consume, forward: {name: f}}
- {name: f, mode: consume, forward: {name: d}}
- {name: g, mode: consume, forward: {name: d}}
- {name: h, mode: consume, forward: }
- {name: i, mode: consume, forward: w}
- {name: j, mode: consume, forward: {name: a/b, endpoint: nowhere, account: other, delay: 5}}
- {name: k, mode: eat, forward: {name: w}}
"
        )
    );
}

#[test]
fn wrong_options_of_transcodes_and_vod_are_said() {
    assert_snapshot!(
        "transcodes",
        queue_problems(
            "- {name: a, transcodes: {base: 50h, factor: -1, unknown_duration: 48h, expect: all, playable_objective: 11m, max_videos: 1}}
- {name: b, transcodes: {factor: many, playable_objective: 600, bas: 1m}}
- {name: c, transcodes: {base: 2h, abandon_after: 1h}}
- {name: d, transcodes: [], vod: true}
- {name: e, vod: {region: \"\", endpoint: vod, app_id: 7, no_transcode_template_groups: [\"\"], requests_per_second: 0}}
- {name: f, vod: {no_transcode_template_groups: g, requests_per_second: 1e9}}
- {name: g, endpoint: \"http://127.0.0.1:80\", vod: {}}
"
        )
    );
}

#[test]
fn what_is_no_yaml_is_said_with_its_position_and_without_the_lines_around() {
    let text = problems(
        "accounts:\n  main:\n    access_key_secret: hunter2\n    signature: [v2\nqueues: []\n",
    );
    assert!(!text.contains("hunter2"), "{text}");
    assert_snapshot!("no_yaml", text);
    assert_snapshot!("key_twice", problems("queues: []\nqueues: []\n"));
    assert_snapshot!("alias_bomb", problems(&alias_bomb()));
    assert_snapshot!(
        "too_deep",
        problems(&format!("queues: {}{}", "[".repeat(40), "]".repeat(40)))
    );
}

fn alias_bomb() -> String {
    let list = |item: &str| [item; 10].join(", ");
    let levels: Vec<_> = (1..9)
        .map(|level| {
            format!(
                "a{level}: &a{level} [{}]",
                list(&format!("*a{}", level - 1))
            )
        })
        .collect();
    format!("a0: &a0 [{}]\n{}\n", list("x"), levels.join("\n"))
}

#[test]
fn an_empty_file_lacks_queues() {
    assert_snapshot!("empty", problems(""));
    assert_snapshot!("only_comments", problems("# nothing\n"));
    assert_snapshot!("a_scalar", problems("queues"));
    assert_snapshot!("empty_queues", problems("queues: []\n"));
}

#[test]
fn unknown_keys_are_named_with_what_was_meant() {
    let text = format!(
        "{HEAD}quarantin: {{}}\nqueues:\n- name: a\n  mod: peek\n- name: b\n  colour: red\n- name: c\n  \
         access_key_secret: hunter2\n"
    );
    let text = problems(&text);
    assert!(!text.contains("hunter2"), "{text}");
    assert_snapshot!("unknown_keys", text);
}

#[test]
fn wrong_types_and_values_are_said_all_at_once() {
    assert_snapshot!(
        "wrong_values",
        queue_problems(
            "- {name: a, tick: 60}
- {name: b, tick: 1s, long_poll: 31s, workers: 0}
- {name: c, tick: [], workers: many, mode: tap}
- {name: d, mode: eat, role: king, streams_from: 7}
- {name: 12345}
- {name: \"with space\"}
- {name: f, tick: }
- {name: g, endpoint: not-a-url}
- {name: h, endpoint: \"https://id:hunter2@example.com\"}
- {name: i, endpoint: \"https://example.com/queues/i\"}
- {name: j, id: \"\"}
- {name: k, account: other, region: \"a b\"}
- just text
-
- {name: l, tick: 301s, long_poll: 1500ms}
"
        )
    );
    assert_snapshot!(
        "wrong_quarantine",
        problems(&format!(
            "{HEAD}queues: {{}}\nquarantine: {{max_bytes: 1kB, expose_bodies: maybe}}"
        ))
    );
}

#[test]
fn a_bad_default_hides_nothing_else() {
    let text = problems(
        "defaults: {account: none, endpoint: nowhere}
queues:
- {name: a}
- {name: b, id: a}
- {name: a, id: c}
- {prefix: vod-}
- {prefix: vod-1, mode: consume, forward: {name: x}}
- {name: d, transcodes: {base: 90h}}
- {name: a, id: e, endpoint: \"https://other.example.com\"}
- {name: a, id: f, endpoint: elsewhere}
",
    );
    assert_snapshot!("bad_default", text);
}

#[test]
fn options_that_together_make_no_sense_are_said() {
    assert_snapshot!(
        "together",
        queue_problems(
            "- {endpoint: \"https://other.example.com\"}
- {name: a, prefix: b}
- {prefix: c, id: c}
- {prefix: \"\", mode: consume}
- {name: dead, role: dead_letter, mode: consume}
"
        )
    );
    assert_snapshot!(
        "no_endpoint",
        problems(&format!(
            "{}queues: [{{name: a}}]",
            HEAD.replace(
                ", endpoint: \"https://1234.mns.cn-shanghai.aliyuncs.com\"",
                ""
            )
        ))
    );
    assert_snapshot!(
        "v4_without_region",
        problems(&format!(
            "{}queues: [{{name: a, endpoint: \"http://localhost:80\"}}]",
            HEAD.replace("{access_key_id_env", "{signature: v4, access_key_id_env")
        ))
    );
}

#[test]
fn text_is_shown_in_one_line_and_in_its_script() {
    let text = problems(
        "accounts: {\"a\\nb\": 5}\n\"队列\": []\nqueues: [{account: \"a\\tb\", name: \"视频\\n\\u202e'x\"}]\n",
    );
    assert_snapshot!("scripts", text);
}

#[test]
fn two_entries_for_one_queue_or_with_one_id_are_said() {
    assert_snapshot!(
        "duplicates",
        queue_problems(
            "- {name: a}
- {name: a, id: b, endpoint: \"https://1234.MNS.cn-shanghai.aliyuncs.com:443/\"}
- {name: a, endpoint: \"https://1234.mns.cn-beijing.aliyuncs.com\"}
- {name: c, id: a}
- {prefix: vod}
- {prefix: vod-team}
- {prefix: vod-team, endpoint: \"https://1234.mns.cn-beijing.aliyuncs.com\"}
"
        )
    );
}

#[test]
fn too_many_queues_are_said_once() {
    let entries: Vec<_> = (0..1_001)
        .map(|number| format!("- name: q{number}\n"))
        .collect();
    assert_snapshot!("too_many", queue_problems(&entries.concat()));
}

#[test]
fn secrets_stand_in_files_or_variables_that_exist() {
    let text = problems(
        "accounts:
  inline: {access_key_id: LTAI, access_key_secret: hunter2, security_token: hunter3}
  nothing:
  half: {access_key_id_env: CARGO_PKG_NAME}
  both: {access_key_id_env: CARGO_PKG_NAME, access_key_id_file: x, access_key_secret_env: CARGO_PKG_NAME}
  missing: {access_key_id_env: VOD_NO_SUCH_VARIABLE, access_key_secret_file: no/such/file}
  no_name: {access_key_id_env: \"$ID\", access_key_secret_env: CARGO_PKG_NAME}
  way:
    access_key_id_env: CARGO_PKG_NAME
    access_key_secret_env: CARGO_PKG_NAME
    ca_file: no/such.pem
    proxy: http://me:hunter4@proxy:3128
queues: [{name: a, endpoint: \"http://localhost\", account: way}]
",
    );
    assert!(!text.contains("hunter"), "{text}");
    assert_snapshot!("secrets", text);
}

#[test]
fn credentials_come_from_a_key_or_from_providers_that_can_be_there() {
    let text = problems(
        "accounts:
  both: {credentials: ecs, access_key_id_env: CARGO_PKG_NAME, access_key_secret_env: CARGO_PKG_NAME}
  unused: {credentials: ecs, role_arn: \"acs:ram::1:role/r\", profile: p}
  key: {access_key_id_env: CARGO_PKG_NAME, access_key_secret_env: CARGO_PKG_NAME, ecs_role: r}
  half: {credentials: oidc, role_arn: \"acs:ram::1:role/r\", oidc_token_file: no/such/token}
  unset: {credentials: uri}
  gone: {credentials: oidc, role_arn: r, oidc_provider_arn: p, oidc_token_file: no/such/token}
  word: {credentials: magic, credentials_uri: \"ftp://x\", metadata_endpoint: \"http://me:hunter2@x\"}
  clear: {credentials: chain, sts_endpoint: \"http://sts.example.com\"}
queues: [{name: a, endpoint: \"http://localhost\", account: both}]
",
    );
    assert!(!text.contains("hunter"), "{text}");
    assert_snapshot!("credentials", text);
}

#[test]
fn a_provider_may_be_named_for_an_account() {
    let config = good(
        "accounts: {pod: {credentials: ecs, ecs_role: r, metadata_endpoint: \"http://127.0.0.1:1\"}}
queues: [{name: a, endpoint: \"http://localhost\", account: pod}]
",
    );
    let Settings::Named(ProviderName::Ecs, lookup) = &config.queues[0].account.credentials else {
        panic!("{:?}", config.queues[0].account);
    };
    assert_eq!(lookup.ecs_role.as_deref(), Some("r"));
}

#[test]
fn a_certificate_file_without_certificates_is_said() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ca.pem"), "no certificate").unwrap();
    let head = HEAD.replace("{access_key_id_env", "{ca_file: ca.pem, access_key_id_env");
    let error = Config::parse(
        "vod.yaml",
        &format!("{head}queues: [{{name: a}}]"),
        Some(dir.path()),
    )
    .unwrap_err()
    .to_string();
    assert!(error.contains("found no certificate in"), "{error}");
    assert!(
        error.starts_with("vod.yaml:1: accounts.main.ca_file: "),
        "{error}"
    );
}

#[test]
fn what_is_allowed_and_deserves_a_look_is_warned_about() {
    let config = good(&format!(
        "{HEAD}queues:
- {{name: a, endpoint: \"http://1234.mns.cn-shanghai.aliyuncs.com\"}}
- {{name: b, endpoint: \"http://1234.mns.cn-shanghai-internal.aliyuncs.com\"}}
- {{name: c, endpoint: \"http://127.0.0.1:8080\"}}
- {{name: d, workers: 2}}
- {{prefix: e, mode: consume}}
- {{name: f, mode: consume, forward: {{name: g}}}}
- {{name: g, mode: consume, forward: {{name: e7, endpoint: \"http://9.mns.cn-shanghai.aliyuncs.com\"}}}}
- {{name: h, mode: consume, forward: {{name: e7}}}}
- {{name: i, mode: consume, forward: {{name: j}}}}
- {{name: j, mode: consume}}
- {{name: k, vod: {{endpoint: \"http://vod.example.com\"}}}}
"
    ));
    let warnings: Vec<_> = config
        .warnings
        .iter()
        .map(|warning| warning.line("vod.yaml"))
        .collect();
    assert_snapshot!("warnings", warnings.join("\n"));
}

#[test]
fn a_single_queue_is_named_by_flags() {
    let problems = |endpoint, queue| {
        let queue = SingleQueue {
            endpoint,
            queue,
            mode: Mode::Peek,
        };
        Config::single(queue).unwrap_err().to_string()
    };
    let text = problems("mns.example.com", "a/b");
    assert!(
        text.contains("command line: --mns.endpoint: found `mns.example.com`, "),
        "{text}"
    );
    assert!(
        text.contains("command line: --mns.queue: found `a/b`, "),
        "{text}"
    );
}

#[test]
fn an_unreadable_or_huge_file_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vod.yaml");
    let error = Config::load(&path).unwrap_err();
    assert_eq!(error.kind(), "unreadable");
    assert!(error.to_string().contains("vod.yaml"), "{error}");
    std::fs::write(&path, "#".repeat(1 << 21)).unwrap();
    assert_eq!(Config::load(&path).unwrap_err().kind(), "too_large");
    std::fs::write(&path, b"queues: \xff").unwrap();
    let error = Config::load(&path).unwrap_err();
    assert_eq!(error.kind(), "not_text");
    assert!(error.to_string().contains("UTF-8"), "{error}");
    std::fs::write(&path, "queues: []").unwrap();
    assert_eq!(Config::load(&path).unwrap_err().kind(), "invalid");
}

fn example() -> String {
    std::fs::read_to_string(root("config/vod-callback-exporter.example.yaml")).unwrap()
}

/// `text` with every option in force that stands in a comment.
fn uncommented(text: &str) -> String {
    let is_option = |rest: &str| {
        let key = rest.split(':').next().unwrap_or_default();
        OPTIONS
            .iter()
            .any(|option| option.path.rsplit('.').next() == Some(key))
    };
    text.lines()
        .map(|line| match line.split_once("# ") {
            Some((indent, rest)) if indent.trim().is_empty() && is_option(rest) => {
                format!("{indent}{rest}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect()
}

/// What is said of these options of `alertmanager`, beside which a file `token` is; never a secret.
fn problems_of_alertmanager(options: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "secret\n").unwrap();
    let text = format!(
        "queues: [{{name: q, endpoint: \"https://example.com\"}}]\nalertmanager: {options}\n"
    );
    let told = Config::parse("vod.yaml", &text, Some(dir.path())).map_or_else(
        |error| error.to_string(),
        |config| format!("{:?}", config.warnings),
    );
    assert!(!told.contains("hunter2"), "{told}");
    told
}

#[test]
fn wrong_options_of_alertmanager_are_said() {
    for (options, expected) in [
        ("{}", "alertmanager: found no `urls`"),
        (
            "{urls: []}",
            "urls: found 0 items, expected a list of 1 to 16 URLs",
        ),
        (
            "{urls: http://a}",
            "urls: found `http://a`, expected a list",
        ),
        ("{urls: [http://a, ftp://b]}", "found `ftp://b`, expected"),
        ("{urls: [http://a, http://a]}", "found `http://a` twice"),
        ("{urls: [\"http://u:hunter2@a\"]}", "(not shown)"),
        (
            "{urls: [http://a], resend: 1s}",
            "resend: found `1s`, expected a time",
        ),
        (
            "{urls: [http://a], username: u}",
            "username: found no password beside it",
        ),
        (
            "{urls: [http://a], password_file: token}",
            "found no `username` beside it",
        ),
        (
            "{urls: [http://a], password: hunter2}",
            "password: found a value (not shown)",
        ),
        (
            "{urls: [http://a], username: u, password_file: token, bearer_token_file: token}",
            "found a password and a bearer token",
        ),
        (
            "{urls: [http://a], bearer_token_file: absent}",
            "cannot read secret file",
        ),
        (
            "{urls: [http://a], cert_file: token}",
            "found one of `cert_file` and `key_file`",
        ),
        (
            "{urls: [http://a], cert_file: token, key_file: token}",
            "found no certificate in",
        ),
        (
            "{urls: [http://a.example], bearer_token_file: token}",
            "use `https`",
        ),
        ("{urls: [http://a], max: 1}", "max: unknown key"),
    ] {
        let told = problems_of_alertmanager(options);
        assert!(told.contains(expected), "{options}: {told}");
    }
}

#[test]
fn wrong_labels_and_links_of_alerts_are_said() {
    for (options, expected) in [
        (
            "{urls: [http://a], labels: cluster}",
            "labels: found `cluster`, expected a mapping of at most 16 labels",
        ),
        (
            "{urls: [http://a], labels: {queue: a}}",
            "alertmanager.labels.queue: found the name of a label that is set already \
             (alertname, queue, severity, stage, video_id), expected another; rename or remove it",
        ),
        (
            "{urls: [http://a], labels: {the-cluster: a}}",
            "found `the-cluster`, expected a name of 1 to 128 letters, digits and `_`",
        ),
        (
            "{urls: [http://a], labels: {__cluster: a}}",
            "found `__cluster`, expected a name",
        ),
        (
            "{urls: [http://a], labels: {1a: a}}",
            "found `1a`, expected a name",
        ),
        (
            "{urls: [http://a], labels: {\"\": a}}",
            "found empty text, expected a name",
        ),
        (
            "{urls: [http://a], labels: {cluster: \"\"}}",
            "alertmanager.labels.cluster: found empty text, expected text of 1 to 128 characters",
        ),
        (
            "{urls: [http://a], labels: {cluster: }}",
            "labels.cluster: found nothing, expected text of 1 to 128 characters without control characters and \
             outer spaces; give a value or remove the key",
        ),
        (
            "{urls: [http://a], labels: {cluster: 1}}",
            "labels.cluster: found the number 1, expected text of 1 to 128 characters without control characters and \
             outer spaces; put it into quotes",
        ),
        (
            "{urls: [http://a], labels: {a: 1, b-: x}}",
            "found `b-`, expected a name",
        ),
        (
            "{urls: [http://a], labels: {a: x, b: x, c: x, d: x, e: x, f: x, g: x, h: x, i: x, j: x, k: x, l: x, \
             m: x, n: x, o: x, p: x, q: x}}",
            "alertmanager.labels: found 17 labels, expected at most 16; remove some",
        ),
        (
            "{urls: [http://a], runbooks: wiki}",
            "runbooks: found `wiki`, expected a URL such as",
        ),
        (
            "{urls: [http://a], runbooks: \"http://a?page=b\"}",
            "without user name, password and anything behind `?` or `#`",
        ),
        (
            "{urls: [http://a], grafana: \"http://a#b\"}",
            "grafana: found `http://a#b`, expected",
        ),
        (
            "{urls: [http://a], grafana: \"http://u:hunter2@a\"}",
            "grafana: found a URL with user name or password (not shown)",
        ),
    ] {
        let told = problems_of_alertmanager(options);
        assert!(told.contains(expected), "{options}: {told}");
    }
    for options in [
        "{urls: [http://a.example:9093/prefix]}",
        "{urls: [http://a], labels: , grafana: \"https://a/b/\", runbooks: \"http://[::1]:80\"}",
        "{urls: [http://a], labels: {cluster: eu 1, _a__b: \"1\"}}",
    ] {
        assert_eq!(problems_of_alertmanager(options), "[]");
    }
}

/// The example in a directory that has the files it names, with variables that this process has.
fn load_example(text: &str) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let secrets = dir.path().join("secrets");
    std::fs::create_dir(&secrets).unwrap();
    for file in ["access-key-id", "access-key-secret", "security-token"] {
        std::fs::write(secrets.join(file), "secret\n").unwrap();
    }
    std::fs::write(secrets.join("alertmanager-password"), "secret\n").unwrap();
    let pair = rcgen::generate_simple_self_signed(["exporter".to_owned()]).unwrap();
    std::fs::write(secrets.join("client.pem"), pair.cert.pem()).unwrap();
    std::fs::write(secrets.join("client.key"), pair.signing_key.serialize_pem()).unwrap();
    let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    std::fs::write(secrets.join("ca.pem"), certificate).unwrap();
    let text = [
        "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        "ALIBABA_CLOUD_SECURITY_TOKEN",
    ]
    .iter()
    .fold(text.to_owned(), |text, name| {
        text.replace(name, "CARGO_PKG_NAME")
    });
    Config::parse("example.yaml", &text, Some(dir.path())).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_example_loads_and_its_comments_show_defaults() {
    let text = example();
    // Of these forms there may be but one, and it is another.
    let alternatives = ["password_env:", "bearer_token_file:", "bearer_token_env:"];
    let full = uncommented(&text);
    let full: Vec<&str> = full
        .lines()
        .filter(|line| !alternatives.iter().any(|key| line.trim().starts_with(key)))
        .collect();
    let full = full.join("\n");
    let (short, full) = (load_example(&text), load_example(&full));
    assert_eq!(short.warnings, []);
    assert_eq!(full.warnings, []);
    assert_eq!((short.queues.len(), short.discoveries.len()), (3, 1));
    let monitoring = full
        .queues
        .iter()
        .find(|queue| &*queue.account.name == "monitoring")
        .unwrap();
    assert!(monitoring.account.proxy.is_some() && monitoring.account.ca_file.is_some());
    let Settings::Keys(sources) = &monitoring.account.credentials else {
        panic!("{:?}", monitoring.account.credentials);
    };
    assert!(sources.security_token.is_some());
    for (short, full) in short.queues.iter().zip(&full.queues) {
        assert_eq!(short.identity, full.identity);
        assert_eq!(short.account.signature, full.account.signature);
        assert_eq!(
            (
                short.tick,
                short.long_poll,
                short.workers,
                short.settings.streams_from
            ),
            (
                full.tick,
                full.long_poll,
                full.workers,
                full.settings.streams_from
            )
        );
    }
    assert_eq!(short.quarantine, full.quarantine);
    let (short, full) = (short.alertmanager.unwrap(), full.alertmanager.unwrap());
    assert_eq!((&short.urls, short.resend), (&full.urls, full.resend));
    assert!(short.labels.is_empty() && short.grafana.is_none() && short.runbooks.is_none());
    assert_eq!(full.labels["cluster"], "eu-1");
    assert!(full.grafana.is_some() && full.runbooks.is_some());
    assert_eq!(short.auth, AlertmanagerAuth::Nobody);
    assert!(matches!(full.auth, AlertmanagerAuth::Basic { .. }));
    assert!(full.ca_file.is_some() && full.identity.is_some());
}

#[test]
fn the_example_has_every_option() {
    let text = uncommented(&example());
    for option in OPTIONS {
        let key = option
            .path
            .rsplit('.')
            .next()
            .unwrap()
            .trim_start_matches("queues[].");
        let stands = text
            .lines()
            .any(|line| line.trim_start_matches([' ', '-']).split(':').next() == Some(key));
        // The two forms of a reference are shown in one account each.
        assert!(stands, "{} is not in the example", option.path);
    }
}

#[test]
fn the_documentation_is_what_the_code_says() {
    let path = root("docs/config.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, render()).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == render(),
        "docs/config.md is old: run UPDATE_DOCS=1 cargo test --test config"
    );
    for option in OPTIONS {
        assert!(
            page.contains(&format!("`{}`", option.path)),
            "{}",
            option.path
        );
    }
}

/// What must hold for any text.
fn check_any(text: &str) -> Result<(), TestCaseError> {
    if let Err(ConfigError::Invalid { problems, .. }) = parse(text) {
        prop_assert!(!problems.is_empty());
        prop_assert!(problems.is_sorted());
        for problem in problems {
            prop_assert!(!problem.to_string().contains(['\n', '\r']), "{:?}", problem);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_a_config_or_a_list_of_problems(text in any::<String>()) {
        check_any(&text)?;
    }

    #[test]
    fn a_damaged_config_is_a_config_or_a_list_of_problems(
        edits in prop::collection::vec((any::<prop::sample::Index>(), "[a-z0-9:\\-\\[\\]{}&*!|>'\"#\n\t ]{0,6}"), 1..5)
    ) {
        let mut text = example();
        for (at, insert) in edits {
            let starts: Vec<usize> = text.char_indices().map(|(start, _)| start).collect();
            let start = *at.get(&starts);
            let end = (start + insert.len()).min(text.len());
            if text.is_char_boundary(end) {
                text.replace_range(start..end, &insert);
            }
        }
        check_any(&text)?;
    }
}

#[test]
fn the_public_and_the_inner_endpoint_of_one_queue_are_one_queue() {
    let entry = |id: &str, host: &str| {
        format!("- {{id: {id}, name: q, endpoint: \"https://1.mns.{host}.aliyuncs.com\"}}\n")
    };
    let both = |second: &str| {
        parse(&format!(
            "{HEAD}queues:\n{}{}",
            entry("a", "cn-shanghai"),
            entry("b", second)
        ))
    };
    for second in ["cn-shanghai-internal", "cn-shanghai-vpc"] {
        let error = both(second).unwrap_err().to_string();
        assert!(error.contains("is about already"), "{error}");
    }
    assert!(both("cn-beijing").is_ok());
}
