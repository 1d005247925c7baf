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

/// Appends `raw` to `out` with its references resolved.
///
/// Copies eight bytes at a time and looks for `&` in them while they are in a register: a JSON body has a reference every
/// five bytes or so, too dense for a search and a copy each.
pub(super) fn unescape_into(raw: &str, out: &mut Vec<u8>) -> Result<(), BadReference> {
    let raw = raw.as_bytes();
    let mut written = out.len();
    // A reference is never shorter than what it stands for, so this is room enough.
    out.resize(written + raw.len(), 0);
    let mut read = 0;
    while let Some(rest) = raw.get(read..).filter(|rest| !rest.is_empty()) {
        let plain = match rest.first_chunk::<8>() {
            Some(chunk) => {
                out[written..written + 8].copy_from_slice(chunk);
                first_ampersand(*chunk)
            }
            None if rest[0] == b'&' => 0,
            None => {
                out[written] = rest[0];
                1
            }
        };
        read += plain;
        written += plain;
        if plain == 8 || rest.get(plain) != Some(&b'&') {
            continue;
        }
        let (char, len) = reference(&rest[plain..]).ok_or(BadReference)?;
        written += char.encode_utf8(&mut out[written..]).len();
        read += len;
    }
    out.truncate(written);
    Ok(())
}

/// Where the first `&` is; 8 if there is none.
fn first_ampersand(chunk: [u8; 8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
    let differing = u64::from_le_bytes(chunk) ^ u64::from_le_bytes([b'&'; 8]);
    // The lowest high bit set belongs to the first byte that is zero, that is equal.
    let equal = differing.wrapping_sub(ONES) & !differing & HIGHS;
    equal.trailing_zeros() as usize / 8
}

/// The reference at the start of `text`, and its length.
fn reference(text: &[u8]) -> Option<(char, usize)> {
    for (reference, char) in [
        (&b"&quot;"[..], '"'),
        (b"&amp;", '&'),
        (b"&lt;", '<'),
        (b"&gt;", '>'),
        (b"&apos;", '\''),
    ] {
        if text.starts_with(reference) {
            return Some((char, reference.len()));
        }
    }
    let end = memchr(b';', text)?;
    let name = std::str::from_utf8(text.get(1..end)?).ok()?;
    Some((resolve(name)?, end + 1))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn unescaped(raw: &str) -> Option<String> {
        let mut out = b"before".to_vec();
        unescape_into(raw, &mut out).ok()?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn references_are_resolved_wherever_they_stand() {
        for padding in 0..20 {
            let pad = "x".repeat(padding);
            for (raw, text) in [
                ("&quot;&amp;&lt;&gt;&apos;", "\"&<>'"),
                ("&amp;quot;", "&quot;"),
                ("&#65;&#x42;&#x1F600;", "AB\u{1F600}"),
                ("\u{4e2d}&#13;\u{e9}", "\u{4e2d}\r\u{e9}"),
            ] {
                assert_eq!(
                    unescaped(&format!("{pad}{raw}{pad}")),
                    Some(format!("before{pad}{text}{pad}"))
                );
            }
        }
    }

    #[test]
    fn what_is_no_reference_is_refused_wherever_it_stands() {
        for padding in 0..20 {
            let pad = "x".repeat(padding);
            for raw in [
                "&",
                "&;",
                "&quot",
                "&nbsp;",
                "&QUOT;",
                "&#;",
                "&#x;",
                "&#0;",
                "&#xD800;",
                "&#x110000;",
                "&#+65;",
                "&#-1;",
                "&#99999999999999999999;",
                "& amp;",
                "&a&amp;",
            ] {
                assert_eq!(unescaped(&format!("{pad}{raw}{pad}")), None, "{raw}");
            }
        }
    }
}
