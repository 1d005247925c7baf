//! For how long alerts remember the last judgement.

use super::rules;

/// Alerts that forget earlier than others of their severity, and why.
const SHORTER: [(&str, &str, &str); 1] = [(
    "VodAlertDeliveryFailing",
    "1h",
    "where nothing is sent any more, nothing is refused",
)];

/// Blindness must not end an alert sooner.
#[test]
fn pages_remember_for_three_days_and_others_for_six_hours() {
    let mut wrong = Vec::new();
    for rule in rules::all().into_iter().filter(|rule| rule.is_alert) {
        let usual = if rule.severity == "critical" {
            "3d"
        } else {
            "6h"
        };
        let shorter = SHORTER.iter().find(|(name, ..)| *name == rule.name);
        let wanted = shorter.map_or(usual, |(_, range, _)| range);
        for memory in rule.expr.split("last_over_time(").skip(1) {
            let range = memory.split(['[', ']']).nth(1).unwrap_or_default();
            if range != wanted {
                wrong.push(format!("{}: {range}, not {wanted}", rule.name));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
