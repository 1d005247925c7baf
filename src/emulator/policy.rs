//! Access policies as RAM has them: what the emulated caller may do. Without any, it may do everything.

use serde::Deserialize;

use super::faults::Operation;

/// A policy in RAM's JSON.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Policy {
    /// Always `1`.
    pub version: String,
    /// What is allowed or denied.
    pub statement: Vec<Statement>,
}

/// One rule of a policy. Conditions are not known here, and refused.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Statement {
    /// Allow or deny.
    pub effect: Effect,
    /// Actions, with `*` and `?`.
    pub action: OneOrMany,
    /// Resources, with `*` and `?`.
    pub resource: OneOrMany,
}

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Effect {
    /// Allows.
    Allow,
    /// Denies, whatever else allows.
    Deny,
}

/// RAM takes a text where it takes a list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// A list.
    Many(Vec<String>),
}

/// Whether `policies` let somebody do `action` to `resource`.
pub(super) fn allow(policies: &[Policy], action: &str, resource: &str) -> bool {
    let fits = |effect| {
        let mut statements = policies.iter().flat_map(|policy| &policy.statement);
        statements.any(|statement| {
            statement.effect == effect
                && statement
                    .action
                    .any(|it| matches(&it.to_lowercase(), &action.to_lowercase()))
                && statement.resource.any(|it| matches(it, resource))
        })
    };
    fits(Effect::Allow) && !fits(Effect::Deny)
}

/// The action and the resource of an operation; none for what needs no permission. `owner` is `{region}:{account}`.
pub(super) fn needed(
    operation: Operation,
    object: &str,
    owner: &str,
    batch_names: bool,
) -> Option<(String, String)> {
    let name = operation.name();
    let own = if batch_names {
        name
    } else {
        name.strip_prefix("Batch").unwrap_or(name)
    };
    let account = owner.split_once(':').map_or("", |(_, account)| account);
    let (product, resource) = match operation {
        Operation::Unknown | Operation::GetCallerIdentity => return None,
        Operation::GetTranscodeSummary
        | Operation::GetVideoInfos
        | Operation::GetVideoList
        | Operation::GetMessageCallback => ("vod", "*".to_owned()),
        Operation::GetRole => ("ram", format!("acs:ram::{account}:role/{object}")),
        Operation::ListQueue => ("mns", format!("acs:mns:{owner}:/queues")),
        Operation::CreateQueue
        | Operation::SetQueueAttributes
        | Operation::GetQueueAttributes
        | Operation::DeleteQueue => ("mns", format!("acs:mns:{owner}:/queues/{object}")),
        _ => ("mns", format!("acs:mns:{owner}:/queues/{object}/messages")),
    };
    Some((format!("{product}:{own}"), resource))
}

/// Whether `text` is what `pattern` says, where `*` stands for any text and `?` for one character.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut from) = (0, 0);
    // Where to go on from when the text after the last `*` does not fit.
    let mut star = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[from] => {
                at += 1;
                from += 1;
            }
            _ => {
                let Some((star_at, taken)) = star else {
                    return false;
                };
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                from = taken + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|byte| *byte == b'*')
}

// === impl OneOrMany ===

impl OneOrMany {
    /// Every one of them.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }

    fn any(&self, fits: impl Fn(&str) -> bool) -> bool {
        self.as_slice().iter().any(|text| fits(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(json: &str) -> Policy {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_pattern_stands_for_texts() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("a", "a", true),
            ("a*c", "abc", true),
            ("a*c", "abcb", false),
            ("a*b*c", "axbxbxc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            (
                "acs:mns:*:*:/queues/q*",
                "acs:mns:cn-shanghai:1:/queues/q/messages",
                true,
            ),
            ("/queues/q", "/queues/q/messages", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_denied_is_not_allowed_and_what_is_not_allowed_is_denied() {
        let allowing = policy(
            r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":["mns:PeekMessage","mns:Get*"],"Resource":"*"}]}"#,
        );
        let denying = policy(
            r#"{"Version":"1","Statement":[{"Effect":"Deny","Action":"mns:GetQueueAttributes","Resource":"*"}]}"#,
        );
        let one = [allowing];
        assert!(allow(&one, "mns:PeekMessage", "r"));
        assert!(allow(&one, "mns:GetQueueAttributes", "r"));
        assert!(!allow(&one, "mns:ReceiveMessage", "r"));
        let [allowing] = one;
        let both = [allowing, denying];
        assert!(!allow(&both, "mns:GetQueueAttributes", "r"));
        assert!(allow(&both, "mns:PeekMessage", "r"));
        assert!(!allow(&[], "mns:PeekMessage", "r"));
    }

    #[test]
    fn a_batch_call_needs_the_one_action_or_its_own() {
        let needed = |names| needed(Operation::BatchPeekMessage, "q", "cn-shanghai:1", names);
        let resource = "acs:mns:cn-shanghai:1:/queues/q/messages".to_owned();
        assert_eq!(
            needed(false),
            Some(("mns:PeekMessage".to_owned(), resource.clone()))
        );
        assert_eq!(
            needed(true),
            Some(("mns:BatchPeekMessage".to_owned(), resource))
        );
    }

    #[test]
    fn a_condition_is_refused_rather_than_ignored() {
        let json = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{}}]}"#;
        let error = serde_json::from_str::<Policy>(json).unwrap_err();
        assert!(error.to_string().contains("Condition"), "{error}");
    }
}
