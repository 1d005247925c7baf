//! The rule files as data, and what their expressions name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A rule of `alerts/rules`.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) file: String,
    /// Name of an alert or of a recorded series.
    pub(crate) name: String,
    pub(crate) is_alert: bool,
    pub(crate) expr: String,
    /// Minutes of `for`.
    pub(crate) wait: u32,
    pub(crate) severity: String,
    pub(crate) annotations: Vec<(String, String)>,
    /// As it is in the file.
    pub(crate) source: Value,
}

/// A selector in an expression.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    pub(crate) metric: String,
    /// Name and value of each matcher.
    pub(crate) matchers: Vec<(String, String)>,
    /// Functions and aggregations around it, the outermost first. An aggregation that keeps the target apart is none.
    pub(crate) around: Vec<String>,
}

/// What an expression names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) selectors: Vec<Selector>,
    /// Labels of `by`, `on` and `group_left`.
    pub(crate) labels: BTreeSet<String>,
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Paths of all rule files.
pub(crate) fn files() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(root().join("alerts/rules")).unwrap();
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

pub(crate) fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All rules of all files.
pub(crate) fn all() -> Vec<Rule> {
    let mut rules = Vec::new();
    for path in files() {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        for group in read(&path)["groups"].as_array().unwrap() {
            let found = group["rules"].as_array().unwrap();
            rules.extend(found.iter().map(|rule| Rule::of(&file, rule)));
        }
    }
    rules
}

/// The rules that alerts need, in the order of the files; all rules if none is named.
pub(crate) fn needed_by(alerts: &[&str]) -> Vec<Rule> {
    let all = all();
    if alerts.is_empty() {
        return all;
    }
    let mut needed: BTreeSet<String> = alerts.iter().map(ToString::to_string).collect();
    loop {
        let before = needed.len();
        for rule in all
            .iter()
            .filter(|rule| needed.contains(&rule.name))
            .collect::<Vec<_>>()
        {
            needed.extend(names(&rule.expr).selectors.into_iter().map(|s| s.metric));
            // What its words ask for.
            let words = rule.annotations.iter().flat_map(|(_, text)| {
                text.split(|letter: char| !is_word(letter))
                    .filter(|word| word.starts_with("vod:"))
            });
            needed.extend(words.map(str::to_owned));
        }
        if needed.len() == before {
            break;
        }
    }
    all.into_iter()
        .filter(|rule| needed.contains(&rule.name))
        .collect()
}

/// Rules as a file; thresholds, which other groups need, first.
pub(crate) fn as_file(rules: &[Rule]) -> Value {
    let (thresholds, others): (Vec<&Rule>, Vec<&Rule>) = rules
        .iter()
        .partition(|rule| rule.name.starts_with("vod:threshold:"));
    let group = |name: &str, rules: &[&Rule]| {
        let rules: Vec<&Value> = rules.iter().map(|rule| &rule.source).collect();
        serde_json::json!({"name": name, "rules": rules})
    };
    serde_json::json!({"groups": [group("a", &thresholds), group("b", &others)]})
}

// === impl Rule ===

impl Rule {
    /// What somebody adds who gives queue `vod` a threshold of its own.
    pub(crate) fn own(threshold: &str, value: f64) -> Self {
        Self::of(
            "",
            &json!({
                "record": format!("vod:own_threshold:{threshold}"),
                "expr": format!("vector({value:?})"),
                "labels": {"queue": "vod"},
            }),
        )
    }

    fn of(file: &str, rule: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().trim().to_owned();
        let alert = rule["alert"].as_str();
        let wait = rule["for"].as_str().map_or(0, |wait| {
            let minutes = wait.strip_suffix('m').expect("`for` is in minutes");
            minutes.parse().unwrap()
        });
        let annotations = rule["annotations"].as_object();
        Self {
            file: file.to_owned(),
            name: alert.map_or_else(|| text(&rule["record"]), str::to_owned),
            is_alert: alert.is_some(),
            expr: text(&rule["expr"]),
            wait,
            severity: text(&rule["labels"]["severity"]),
            annotations: annotations
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            source: rule.clone(),
        }
    }

    pub(crate) fn annotation(&self, name: &str) -> &str {
        let found = self.annotations.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

/// The pieces of an expression: identifiers, strings with their quotes, single other characters. Durations and numbers
/// come as identifiers that begin with a digit.
fn tokens(expr: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut chars = expr.chars().peekable();
    while let Some(first) = chars.next() {
        let mut token = first.to_string();
        if first == '"' {
            for next in chars.by_ref() {
                token.push(next);
                if next == '"' {
                    break;
                }
            }
        } else if is_word(first) {
            while let Some(next) = chars.next_if(|next| is_word(*next) || *next == '.') {
                token.push(next);
            }
        } else if first.is_whitespace() {
            continue;
        }
        tokens.push(token);
    }
    tokens
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | ':')
}

/// Finds selectors and labels in an expression of the plain form that the rules keep to: `sum by (a, b) (..)`, double
/// quotes, labels before the operand.
pub(crate) fn names(expr: &str) -> Names {
    const OPERATORS: [&str; 7] = ["and", "or", "unless", "offset", "bool", "Inf", "NaN"];
    const LABELLED: [&str; 6] = [
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
    ];
    let tokens = tokens(expr);
    let token = |index: usize| tokens.get(index).map_or("", String::as_str);
    let mut names = Names::default();
    let mut open: Vec<String> = Vec::new();
    // What the next parenthesis belongs to.
    let mut calls = String::new();
    let mut index = 0;
    while index < tokens.len() {
        let word = token(index);
        match word {
            "(" => open.push(std::mem::take(&mut calls)),
            ")" => _ = open.pop().expect("parentheses match"),
            _ if LABELLED.contains(&word) => {
                index += 2;
                let mut apart = false;
                while token(index) != ")" {
                    if token(index) != "," {
                        apart |= token(index) == "instance";
                        names.labels.insert(token(index).to_owned());
                    }
                    index += 1;
                }
                if apart {
                    calls.clear();
                }
            }
            _ if OPERATORS.contains(&word) => {}
            _ if word.starts_with(|first: char| first.is_alphabetic()) => {
                if token(index + 1) == "(" || LABELLED.contains(&token(index + 1)) {
                    word.clone_into(&mut calls);
                } else {
                    let mut selector = Selector {
                        metric: word.to_owned(),
                        around: open
                            .iter()
                            .filter(|call| !call.is_empty())
                            .cloned()
                            .collect(),
                        ..Selector::default()
                    };
                    if token(index + 1) == "{" {
                        index += 2;
                        while token(index) != "}" {
                            if is_word(token(index).chars().next().unwrap_or(' ')) {
                                let label = token(index).to_owned();
                                while !token(index).starts_with('"') {
                                    index += 1;
                                }
                                let value = token(index).trim_matches('"').to_owned();
                                selector.matchers.push((label, value));
                            }
                            index += 1;
                        }
                    }
                    names.selectors.push(selector);
                }
            }
            _ => {}
        }
        index += 1;
    }
    names
}

#[test]
fn names_of_an_expression_are_found() {
    let found = names(
        r#"histogram_quantile(0.9, sum by (queue, le) (rate(a_bucket{x=~"p|q", y!="z"}[30m] offset 1d))) >= 2 * scalar(vod:b)
           and on (job) max by (queue) (sum by (queue, instance) (c))"#,
    );
    let metrics: Vec<&str> = found.selectors.iter().map(|s| s.metric.as_str()).collect();
    assert_eq!(metrics, ["a_bucket", "vod:b", "c"]);
    let matcher = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let [first, second, third] = found.selectors.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(first.matchers, [matcher("x", "p|q"), matcher("y", "z")]);
    assert_eq!(first.around, ["histogram_quantile", "sum", "rate"]);
    assert_eq!(second.around, ["scalar"]);
    assert_eq!(third.around, ["max"]);
    let labels: Vec<&str> = found.labels.iter().map(String::as_str).collect();
    assert_eq!(labels, ["instance", "job", "le", "queue"]);
}
