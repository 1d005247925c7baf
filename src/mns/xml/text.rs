//! Unescaping in one pass.

use memchr::memchr;

/// Where a value lies: in the answer as it came, or among the values that had to be unescaped.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) unescaped: bool,
}

/// A reference that XML does not know without a document type.
#[derive(Debug)]
pub(super) struct BadReference;

/// Appends `raw` to `out` with its references resolved. `out` needs `raw.len()` bytes at most.
pub(super) fn unescape_into(raw: &str, out: &mut String) -> Result<(), BadReference> {
    let mut rest = raw;
    while let Some(at) = memchr(b'&', rest.as_bytes()) {
        let (plain, reference) = rest.split_at(at);
        out.push_str(plain);
        let (name, tail) = reference
            .get(1..)
            .unwrap_or_default()
            .split_once(';')
            .ok_or(BadReference)?;
        out.push(resolve(name).ok_or(BadReference)?);
        rest = tail;
    }
    out.push_str(rest);
    Ok(())
}

/// The character that `&name;` stands for.
pub(super) fn resolve(name: &str) -> Option<char> {
    Some(match name {
        "quot" => '"',
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "apos" => '\'',
        _ => return number(name.strip_prefix('#')?),
    })
}

fn number(digits: &str) -> Option<char> {
    let (digits, radix) = match digits.strip_prefix('x') {
        Some(hex) => (hex, 16),
        None => (digits, 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let code = u32::from_str_radix(digits, radix).ok()?;
    char::from_u32(code).filter(|char| *char != '\0')
}
