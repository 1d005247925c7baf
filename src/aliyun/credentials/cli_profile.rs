//! Profiles of the `aliyun` command line: `~/.aliyun/config.json`.
//!
//! Facts: Alibaba Cloud documentation "Configure Alibaba Cloud CLI", identity credentials.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::environment::{CLI_PROFILE_DISABLED, CONFIG_FILE, Environment, PROFILE};
use super::plan::{DEFAULT_DURATION_SECS, MIN_DURATION_SECS, Plan, SESSION};
use super::sts::{self, Role};
use super::{Failure, Lookup, ecs, profile_keys};

/// Profiles may stand on each other; this many are more than anybody needs, and an end for a circle.
const MAX_DEPTH: usize = 8;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    current: String,
    #[serde(default)]
    profiles: Vec<Profile>,
}

/// The fields that matter here; the CLI writes empty ones too.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Profile {
    name: String,
    mode: String,
    access_key_id: String,
    access_key_secret: String,
    sts_token: String,
    ram_role_arn: String,
    ram_session_name: String,
    ram_role_name: String,
    role_session_name: String,
    source_profile: String,
    oidc_provider_arn: String,
    oidc_token_file: String,
    sts_region: String,
    enable_vpc: Option<bool>,
    expired_seconds: Option<u64>,
    external_id: String,
    policy: String,
}

/// One file's profiles and what else counts.
struct Reader<'a> {
    path: &'a Path,
    lookup: &'a Lookup,
    environment: &'a Environment,
    profiles: &'a [Profile],
}

pub(super) fn plan(lookup: &Lookup, environment: &Environment) -> Result<Plan, Failure> {
    if environment.is_true(CLI_PROFILE_DISABLED) {
        return Err(Failure::Absent(format!("{CLI_PROFILE_DISABLED} is true")));
    }
    let (path, named) = match environment.get(CONFIG_FILE) {
        Some(path) => (PathBuf::from(path), true),
        None => (home(environment, ".aliyun/config.json")?, false),
    };
    let text = read(&path, named)?;
    let file: File = serde_json::from_str(&text).map_err(|error| {
        // The error's own text could show a part of the file.
        let problem = format!(
            "found no config of the aliyun CLI at line {} column {}, expected JSON with `profiles`; it may be half-written",
            error.line(),
            error.column()
        );
        Failure::malformed(path.display().to_string(), problem)
    })?;
    let reader = Reader {
        path: &path,
        lookup,
        environment,
        profiles: &file.profiles,
    };
    let name = lookup
        .profile
        .as_deref()
        .or_else(|| environment.get(PROFILE))
        .unwrap_or(&file.current);
    reader.profile(name, 0)
}

/// A file in the home directory, which is none where there is no home.
pub(super) fn home(environment: &Environment, relative: &str) -> Result<PathBuf, Failure> {
    environment.at_home(relative).ok_or_else(|| {
        Failure::Absent(format!("HOME is not set, so that there is no ~/{relative}"))
    })
}

/// A file's text; that it is missing is no trouble unless it was `named`.
pub(super) fn read(path: &Path, named: bool) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound && !named {
            Failure::Absent(format!("there is no {}", path.display()))
        } else {
            Failure::unreadable(path, &error)
        }
    })
}

// === impl Reader ===

impl Reader<'_> {
    fn profile(&self, name: &str, depth: usize) -> Result<Plan, Failure> {
        let profile = self.profiles.iter().find(|profile| profile.name == name);
        let profile = profile.ok_or_else(|| {
            self.malformed(format!(
                "found no profile {name:?}, expected it under `profiles`"
            ))
        })?;
        if depth > MAX_DEPTH {
            return Err(self.malformed(format!(
                "found a circle of `source_profile` at profile {name:?}; expected one that ends"
            )));
        }
        match profile.mode.as_str() {
            // The CLI's own default.
            "AK" | "" => self.keys(profile, None),
            "StsToken" => self.keys(profile, Some(&profile.sts_token)),
            "RamRoleArn" => self.assume(profile, self.keys(profile, None)?),
            "ChainableRamRoleArn" => {
                self.assume(profile, self.profile(&profile.source_profile, depth + 1)?)
            }
            "EcsRamRole" => ecs::plan(given(&profile.ram_role_name), self.lookup, self.environment),
            "OIDC" => Ok(Plan::Oidc {
                // Tools disagree on the name of this one.
                role: self.role(
                    profile,
                    given(&profile.role_session_name).unwrap_or(&profile.ram_session_name),
                )?,
                provider_arn: self.field(
                    profile,
                    "oidc_provider_arn",
                    &profile.oidc_provider_arn,
                )?,
                token_file: self
                    .field(profile, "oidc_token_file", &profile.oidc_token_file)?
                    .into(),
                sts: self.sts(profile)?,
            }),
            other => Err(Failure::Unsupported {
                place: self.path.display().to_string(),
                what: format!(
                    "found mode {other:?} of profile {name:?}, expected AK, StsToken, RamRoleArn, ChainableRamRoleArn, \
                     EcsRamRole or OIDC; the others need a person at the keyboard"
                ),
            }),
        }
    }

    fn keys(&self, profile: &Profile, token: Option<&str>) -> Result<Plan, Failure> {
        profile_keys(
            &format!("{}: profile {:?}", self.path.display(), profile.name),
            &profile.access_key_id,
            &profile.access_key_secret,
            ("sts_token", token),
        )
    }

    fn assume(&self, profile: &Profile, source: Plan) -> Result<Plan, Failure> {
        Ok(Plan::Assume {
            source: Box::new(source),
            role: self.role(profile, &profile.ram_session_name)?,
            sts: self.sts(profile)?,
        })
    }

    fn role(&self, profile: &Profile, session: &str) -> Result<Role, Failure> {
        // The CLI writes 0 for its default.
        let duration_secs = profile.expired_seconds.filter(|secs| *secs != 0);
        let duration_secs = duration_secs.unwrap_or(DEFAULT_DURATION_SECS);
        if duration_secs < MIN_DURATION_SECS {
            return Err(self.malformed(format!(
                "found expired_seconds {duration_secs} in profile {:?}, expected at least {MIN_DURATION_SECS}",
                profile.name
            )));
        }
        Ok(Role {
            arn: self.field(profile, "ram_role_arn", &profile.ram_role_arn)?,
            session: given(session).unwrap_or(SESSION).to_owned(),
            duration_secs,
            policy: given(&profile.policy).map(str::to_owned),
            external_id: given(&profile.external_id).map(str::to_owned),
        })
    }

    fn sts(&self, profile: &Profile) -> Result<url::Url, Failure> {
        match &self.lookup.sts_endpoint {
            Some(endpoint) => Ok(endpoint.clone()),
            None => sts::endpoint(
                self.environment,
                given(&profile.sts_region),
                profile.enable_vpc,
            ),
        }
    }

    fn field(&self, profile: &Profile, key: &str, value: &str) -> Result<String, Failure> {
        given(value).map(str::to_owned).ok_or_else(|| {
            let problem = format!(
                "found no {key} in profile {:?}, which needs it",
                profile.name
            );
            self.malformed(problem)
        })
    }

    fn malformed(&self, problem: String) -> Failure {
        Failure::malformed(self.path.display().to_string(), problem)
    }
}

fn given(text: &str) -> Option<&str> {
    let text = text.trim();
    (!text.is_empty()).then_some(text)
}
