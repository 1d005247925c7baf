//! VOD's instants: `2026-02-01T08:00:05Z`, and for some events `2026-02-01T08:00:05:627Z`.
//!
//! The second form has a colon before the milliseconds, which no RFC 3339 parser takes.

use crate::clock::UnixMillis;

/// Parses an instant of an event; none if it is not exactly one of VOD's forms (or has `.SSS`).
pub(super) fn parse(text: &str) -> Option<UnixMillis> {
    let (seconds, fraction) = text
        .strip_suffix('Z')?
        .as_bytes()
        .split_at_checked("yyyy-MM-ddTHH:mm:ss".len())?;
    let millis = match fraction {
        [] => 0,
        [b':' | b'.', digits @ ..] if digits.len() == 3 => number(digits)?,
        _ => return None,
    };
    let &[
        y1,
        y2,
        y3,
        y4,
        b'-',
        o1,
        o2,
        b'-',
        d1,
        d2,
        b'T',
        h1,
        h2,
        b':',
        m1,
        m2,
        b':',
        s1,
        s2,
    ] = seconds
    else {
        return None;
    };
    let year = number(&[y1, y2, y3, y4])?;
    let month = number(&[o1, o2])?;
    let day = number(&[d1, d2])?;
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[m1, m2])?, number(&[s1, s2])?);
    let valid = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    valid.then(|| {
        let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60;
        UnixMillis((seconds + second) * 1_000 + millis)
    })
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + i64::from(digit - b'0'))
    })
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, for years from 0: years are counted from March, so that
/// the leap day is a year's last.
const fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 719_469
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_forms_are_instants() {
        let at = UnixMillis(1_769_932_805_000);
        assert_eq!(parse("2026-02-01T08:00:05Z"), Some(at));
        assert_eq!(
            parse("2026-02-01T08:00:05:627Z"),
            Some(UnixMillis(at.0 + 627))
        );
        assert_eq!(
            parse("2026-02-01T08:00:05.627Z"),
            Some(UnixMillis(at.0 + 627))
        );
    }

    #[test]
    fn anything_else_is_not() {
        for text in [
            "",
            "Z",
            "yesterday",
            "1769932805",
            "2026-02-01 08:00:05Z",
            "2026-02-01T08:00:05",
            "2026-02-01T08:00:05+08:00",
            "2026-02-29T08:00:05Z",
            "2026-13-01T08:00:05Z",
            "2026-00-01T08:00:05Z",
            "2026-01-00T08:00:05Z",
            "2026-02-01T24:00:05Z",
            "2026-02-01T08:60:05Z",
            "2026-02-01T08:00:60Z",
            "2026-02-01T08:00:05:6Z",
            "2026-02-01T08:00:05:6270Z",
            "2026-02-01T08:00:05;627Z",
            "+026-02-01T08:00:05Z",
            "2026-02-01T08:00:0²Z",
            "2026-02-01T08:00:05ZZ",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_jiff(seconds in -62_135_596_800_i64..253_402_207_200) {
            let at = UnixMillis::from_secs(seconds);
            prop_assert_eq!(parse(&at.to_string()), Some(at));
        }
    }
}
