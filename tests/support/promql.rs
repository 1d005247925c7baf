//! As much of PromQL as it takes to see which metrics a query uses, and how.

/// One selector of a query, and what stands around it.
#[derive(Debug, Default)]
pub(crate) struct Use {
    pub(crate) metric: String,
    /// As it is written, without a window.
    pub(crate) series: String,
    /// Label and value; what stands between them does not matter here.
    pub(crate) matchers: Vec<(String, String)>,
    /// `5m` of `metric[5m]`.
    pub(crate) window: Option<String>,
    /// Functions and aggregations around it, the innermost first.
    pub(crate) around: Vec<Call>,
}

/// A function or an aggregation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// Labels that an aggregation keeps.
    pub(crate) by: Vec<String>,
}

const AGGREGATIONS: [&str; 5] = ["sum", "min", "max", "count", "topk"];
const WORDS: [&str; 15] = [
    "clamp_min",
    "rate",
    "count_over_time",
    "round",
    "increase",
    "deriv",
    "max_over_time",
    "sort_desc",
    "histogram_quantile",
    "time",
    "and",
    "or",
    "unless",
    "bool",
    "group_left",
];
/// Words that are followed by labels in parentheses.
const GROUPINGS: [&str; 3] = ["by", "on", "without"];

/// The selectors of `query`; panics at a word that this file does not know.
pub(crate) fn uses(query: &str) -> Vec<Use> {
    let mut found: Vec<Use> = Vec::new();
    let mut open: Vec<Call> = Vec::new();
    let mut next = Call::default();
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        if first.is_ascii_digit() {
            rest = tail;
        } else if let Some(inside) = tail.strip_prefix('{').filter(|_| end > 0) {
            let (matchers, tail) = inside.split_once('}').expect("a selector ends");
            let (window, tail) = window(tail);
            found.push(Use {
                metric: word.to_owned(),
                series: format!("{word}{{{matchers}}}"),
                matchers: matchers.split(", ").map(matcher).collect(),
                window,
                around: open.iter().rev().cloned().collect(),
            });
            rest = tail;
        } else if GROUPINGS.contains(&word) {
            let inside = tail.trim_start().strip_prefix('(');
            let (labels, tail) = inside
                .and_then(|inside| inside.split_once(')'))
                .unwrap_or_else(|| panic!("no labels after {word}: {query}"));
            if word == "by" {
                next.by = labels.split(", ").map(ToOwned::to_owned).collect();
            }
            rest = tail;
        } else if word == "offset" {
            rest = tail
                .trim_start()
                .trim_start_matches(|c| c == '$' || is_word(c));
        } else if end > 0 {
            let known = AGGREGATIONS.contains(&word) || WORDS.contains(&word);
            assert!(known, "{word} is not known here: {query}");
            word.clone_into(&mut next.name);
            rest = tail;
        } else {
            match first {
                '(' => open.push(std::mem::take(&mut next)),
                ')' => drop(
                    open.pop()
                        .unwrap_or_else(|| panic!("one ) too many: {query}")),
                ),
                _ => {}
            }
            rest = window(rest)
                .1
                .strip_prefix(first)
                .unwrap_or_else(|| window(rest).1);
        }
    }
    assert!(open.is_empty(), "a ) is missing: {query}");
    found
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

fn matcher(text: &str) -> (String, String) {
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let (label, value) = text.split_at(end);
    let value = value.trim_matches(['=', '~', '!', '"']);
    (label.to_owned(), value.to_owned())
}

/// `[5m]` at the beginning of `text`, and what comes after it.
fn window(text: &str) -> (Option<String>, &str) {
    let inside = text.strip_prefix('[').and_then(|text| text.split_once(']'));
    inside.map_or((None, text), |(window, tail)| {
        (Some(window.to_owned()), tail)
    })
}

// === impl Use ===

impl Use {
    /// The aggregation that is applied first.
    pub(crate) fn aggregation(&self) -> Option<&Call> {
        let mut calls = self.around.iter();
        calls.find(|call| AGGREGATIONS.contains(&&*call.name))
    }

    /// The function, if the selector is its direct argument.
    pub(crate) fn function(&self) -> &str {
        self.around.first().map_or("", |call| &call.name)
    }
}
