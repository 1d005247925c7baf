//! The dashboards as they are shipped.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// File and uid of each, in the order of their links.
pub(crate) const BOARDS: [(&str, &str); 4] = [
    ("overview", "vod-overview"),
    ("queue", "vod-queue"),
    ("transcodes", "vod-transcodes"),
    ("exporter", "vod-exporter"),
];

/// One query of a panel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) board: &'static str,
    pub(crate) panel: String,
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) legend: String,
}

/// The JSON of a dashboard.
pub(crate) fn board(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("dashboards/{name}.json"));
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Its panels, rows included.
pub(crate) fn panels(board: &Value) -> &[Value] {
    board["panels"].as_array().expect("a dashboard has panels")
}

/// A text that must be there and not empty.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    let text = value[key].as_str().unwrap_or_default();
    assert!(!text.trim().is_empty(), "no `{key}` in {value:#}");
    text
}

/// All queries of all panels.
pub(crate) fn queries() -> Vec<Query> {
    let mut queries = Vec::new();
    for (name, _) in BOARDS {
        let board = board(name);
        for panel in panels(&board) {
            for target in panel["targets"].as_array().into_iter().flatten() {
                queries.push(Query {
                    board: name,
                    panel: text(panel, "title").to_owned(),
                    id: text(target, "refId").to_owned(),
                    text: text(target, "expr").to_owned(),
                    legend: target["legendFormat"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned(),
                });
            }
        }
    }
    queries
}

/// An expression as Prometheus takes it, with all jobs and queues chosen.
pub(crate) fn for_all(expr: &str) -> String {
    let text = expr.replace("$job", ".+").replace("$queue", ".+");
    let text = text
        .replace("$__rate_interval", "30s")
        .replace("$__range", "10m");
    assert!(!text.contains('$'), "a variable is left: {text}");
    text
}

// === impl Query ===

impl Query {
    /// Labels that the legend shows.
    pub(crate) fn legend_labels(&self) -> impl Iterator<Item = &str> {
        let parts = self.legend.split("{{").skip(1);
        parts.filter_map(|part| part.split_once("}}").map(|(label, _)| label))
    }

    /// As Prometheus takes it, with all jobs and queues chosen.
    pub(crate) fn for_all(&self) -> String {
        for_all(&self.text)
    }
}
