//! Profiles of the vendor's SDKs: `~/.alibabacloud/credentials`.
//!
//! Facts: Alibaba Cloud documentation "Manage access credentials", credentials file.

use std::path::{Path, PathBuf};

use super::cli_profile::{home, read};
use super::environment::{CREDENTIALS_FILE, Environment, PROFILE};
use super::plan::{DEFAULT_DURATION_SECS, Plan, SESSION};
use super::sts::{self, Role};
use super::{Failure, Lookup, ecs, profile_keys};

/// The keys of one section.
struct Section<'a> {
    path: &'a Path,
    name: &'a str,
    values: Vec<(&'a str, &'a str)>,
}

pub(super) fn plan(lookup: &Lookup, environment: &Environment) -> Result<Plan, Failure> {
    let (path, text) = file(environment)?;
    let name = lookup
        .profile
        .as_deref()
        .or_else(|| environment.get(PROFILE))
        .unwrap_or("default");
    let section = Section::read(&path, &text, name)?;
    let role = || {
        Ok::<_, Failure>(Role {
            arn: section.required("role_arn")?.to_owned(),
            session: section
                .get("role_session_name")
                .unwrap_or(SESSION)
                .to_owned(),
            duration_secs: DEFAULT_DURATION_SECS,
            policy: section.get("policy").map(str::to_owned),
            external_id: None,
        })
    };
    let sts = || match &lookup.sts_endpoint {
        Some(endpoint) => Ok(endpoint.clone()),
        None => sts::endpoint(environment, None, None),
    };
    match section.get("type") {
        Some("access_key") => section.keys(None),
        Some("sts") => section.keys(Some(section.get("security_token").unwrap_or_default())),
        Some("ram_role_arn") => Ok(Plan::Assume {
            source: Box::new(section.keys(section.get("security_token"))?),
            role: role()?,
            sts: sts()?,
        }),
        Some("oidc_role_arn") => Ok(Plan::Oidc {
            role: role()?,
            provider_arn: section.required("oidc_provider_arn")?.to_owned(),
            token_file: section.required("oidc_token_file_path")?.into(),
            sts: sts()?,
        }),
        Some("ecs_ram_role") => ecs::plan(section.get("role_name"), lookup, environment),
        other => Err(Failure::Unsupported {
            place: path.display().to_string(),
            what: format!(
                "found type {:?} in section {name:?}, expected access_key, sts, ram_role_arn, oidc_role_arn or ecs_ram_role",
                other.unwrap_or_default()
            ),
        }),
    }
}

/// The file and its text. SDKs disagree on the default name: most say `credentials`, some `credentials.ini`.
fn file(environment: &Environment) -> Result<(PathBuf, String), Failure> {
    if let Some(path) = environment.get(CREDENTIALS_FILE) {
        let path = PathBuf::from(path);
        let text = read(&path, true)?;
        return Ok((path, text));
    }
    let path = home(environment, ".alibabacloud/credentials")?;
    match read(&path, false) {
        Err(absent) if absent.is_absent() => {
            let other = path.with_extension("ini");
            let text = read(&other, false).map_err(|failure| match failure {
                Failure::Absent(_) => absent,
                failure => failure,
            })?;
            Ok((other, text))
        }
        text => Ok((path, text?)),
    }
}

// === impl Section ===

impl<'a> Section<'a> {
    fn read(path: &'a Path, text: &'a str, name: &'a str) -> Result<Self, Failure> {
        let malformed = |problem| Failure::malformed(path.display().to_string(), problem);
        let (mut values, mut current, mut found) = (Vec::new(), "", false);
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(section) = line
                .strip_prefix('[')
                .and_then(|rest| rest.split(']').next())
            {
                current = section.trim();
                found |= current == name;
                continue;
            }
            // The line itself may be a secret.
            let Some((key, value)) = line.split_once(['=', ':']) else {
                return Err(malformed(format!(
                    "found no `key = value` in line {}, expected one; the file may be half-written",
                    index + 1
                )));
            };
            if current == name {
                let value = value.split('#').next().unwrap_or_default();
                values.push((key.trim(), value.trim()));
            }
        }
        if !found {
            return Err(malformed(format!(
                "found no section [{name}], expected it; name another one as `profile`"
            )));
        }
        Ok(Self { path, name, values })
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        let value = self.values.iter().find(|(known, _)| *known == key)?.1;
        (!value.is_empty()).then_some(value)
    }

    fn required(&self, key: &str) -> Result<&'a str, Failure> {
        self.get(key).ok_or_else(|| {
            let problem = format!(
                "found no {key} in section [{}], which needs it; the file may be half-written",
                self.name
            );
            Failure::malformed(self.path.display().to_string(), problem)
        })
    }

    fn keys(&self, token: Option<&str>) -> Result<Plan, Failure> {
        profile_keys(
            &format!("{}: section [{}]", self.path.display(), self.name),
            self.get("access_key_id").unwrap_or_default(),
            self.get("access_key_secret").unwrap_or_default(),
            ("security_token", token),
        )
    }
}
