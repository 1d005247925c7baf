use proptest::prelude::*;

use super::*;
use crate::metrics::catalogue::PROCESSING;

const REQUESTS: Family = Family {
    name: "calls_total",
    kind: Kind::Counter,
    labels: &["queue"],
    help: "Calls \\ \"quoted\"\nand broken.",
    over_replicas: "",
    presence: "",
};

fn rendered(format: Format, family: &Family, write: impl FnOnce(&mut FamilyWriter<'_>)) -> String {
    let mut out = String::new();
    let mut writer = Writer::new(&mut out, format);
    write(&mut writer.family(family));
    writer.finish();
    out
}

fn value(value: Value) -> String {
    let mut out = String::new();
    value.push_to(&mut out);
    out
}

#[test]
fn a_family_without_samples_leaves_no_trace() {
    assert_eq!(rendered(Format::Text, &REQUESTS, |_| ()), "");
    assert_eq!(rendered(Format::OpenMetrics, &REQUESTS, |_| ()), "# EOF\n");
}

#[test]
fn heads_follow_the_format() {
    let write = |family: &mut FamilyWriter<'_>| family.sample(&[("queue", "a")], 1);
    assert_eq!(
        rendered(Format::Text, &REQUESTS, write),
        "# HELP calls_total Calls \\\\ \"quoted\"\\nand broken.\n# TYPE calls_total counter\ncalls_total{queue=\"a\"} 1\n"
    );
    assert_eq!(
        rendered(Format::OpenMetrics, &REQUESTS, write),
        "# HELP calls Calls \\\\ \\\"quoted\\\"\\nand broken.\n# TYPE calls counter\ncalls_total{queue=\"a\"} 1\n# EOF\n"
    );
}

#[test]
fn runs_share_their_beginning() {
    let text = rendered(Format::Text, &REQUESTS, |family| {
        let mut run = family.run("", &[("queue", "a")]);
        for (tail, value) in tails(&[("x", vec!["1", "2"]), ("y", vec!["\"", "4"])])
            .iter()
            .zip(0u64..)
        {
            run.sample(tail, value);
        }
        family.sample(&[], 9);
    });
    let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        samples,
        [
            r#"calls_total{queue="a",x="1",y="\""} 0"#,
            r#"calls_total{queue="a",x="1",y="4"} 1"#,
            r#"calls_total{queue="a",x="2",y="\""} 2"#,
            r#"calls_total{queue="a",x="2",y="4"} 3"#,
            "calls_total 9",
        ]
    );
}

#[test]
fn histograms_are_cumulated_and_in_seconds() {
    let family = Family {
        name: "took_seconds",
        kind: Kind::Histogram(PROCESSING),
        ..REQUESTS
    };
    let mut buckets = [0; 14];
    (buckets[0], buckets[7], buckets[13]) = (2, 1, 3);
    let text = rendered(Format::Text, &family, |family| {
        let observations = Observations {
            buckets: &buckets,
            sum: Value::Millis(200_754),
        };
        family.histogram(PROCESSING, &[("queue", "a")], observations);
    });
    for line in [
        "# TYPE took_seconds histogram",
        r#"took_seconds_bucket{queue="a",le="0.005"} 2"#,
        r#"took_seconds_bucket{queue="a",le="0.5"} 2"#,
        r#"took_seconds_bucket{queue="a",le="1.0"} 3"#,
        r#"took_seconds_bucket{queue="a",le="60.0"} 3"#,
        r#"took_seconds_bucket{queue="a",le="+Inf"} 6"#,
        r#"took_seconds_sum{queue="a"} 200.754"#,
        r#"took_seconds_count{queue="a"} 6"#,
    ] {
        assert!(
            text.lines().any(|written| written == line),
            "{line} is missing in\n{text}"
        );
    }
}

#[test]
fn special_values_are_spelt_as_the_formats_want() {
    assert_eq!(value(Value::Float(f64::INFINITY)), "+Inf");
    assert_eq!(value(Value::Float(f64::NEG_INFINITY)), "-Inf");
    assert_eq!(value(Value::Float(f64::NAN)), "NaN");
    assert_eq!(value(Value::Float(0.0)), "0");
    assert_eq!(value(Value::Float(49_152_000.0)), "49152000");
    assert_eq!(value(Value::Float(1e300)), "1e300");
    assert_eq!(value(Value::Millis(-1_050)), "-1.05");
    assert_eq!(value(Value::Millis(7)), "0.007");
    assert_eq!(value(Value::Millis(120)), "0.12");
    assert_eq!(value(Value::Millis(i64::MIN)), "-9223372036854775.808");
}

proptest! {
    #[test]
    fn seconds_are_exact(millis in any::<i32>()) {
        let millis = i64::from(millis);
        let written = value(Value::Millis(millis));
        let read: f64 = written.parse().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "32 bits are exact in f64")]
        let expected = millis as f64 / 1000.0;
        prop_assert_eq!(read.to_bits(), (expected + 0.0).to_bits());
    }

    #[test]
    fn floats_round_trip(float in any::<f64>()) {
        prop_assume!(float.is_finite());
        prop_assert_eq!(value(Value::Float(float)).parse::<f64>().unwrap().to_bits(), float.to_bits());
    }

    #[test]
    fn any_label_value_is_one_line_and_can_be_read_back(text in any::<String>()) {
        let line = rendered(Format::Text, &REQUESTS, |family| family.sample(&[("queue", &text)], 1));
        let line = line.split_inclusive('\n').next_back().unwrap();
        let escaped = line
            .strip_prefix("calls_total{queue=\"")
            .and_then(|rest| rest.strip_suffix("\"} 1\n"))
            .unwrap();
        let (mut read, mut chars) = (String::new(), escaped.chars());
        while let Some(char) = chars.next() {
            match char {
                '\\' => match chars.next() {
                    Some('n') => read.push('\n'),
                    Some(escaped @ ('\\' | '"')) => read.push(escaped),
                    other => panic!("unknown escape {other:?}"),
                },
                '"' | '\n' => panic!("unescaped {char:?}"),
                char => read.push(char),
            }
        }
        prop_assert_eq!(read, text);
    }
}
