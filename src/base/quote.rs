//! Quoting: splitting a typed line into words, and printing bytes so that they can be typed.
//!
//! The two are inverse to each other: what [`quoted`] prints, [`split_words`] reads back as the one word it
//! was. Inline commands and lines of the configuration file are split here; `MONITOR` and error texts are
//! printed here.

use std::borrow::Cow;

/// Splits a typed line into words as Redis does, or `None` where a quote is not closed, or closed in the
/// middle of a word.
///
/// - Words are divided by blanks. A NUL ends the line, as it does in C.
/// - `"…"` may hold `\n \r \t \b \a`, `\xHH`, and a backslash before any other character means that
///   character.
/// - `'…'` is literal but for `\'`.
/// - A quote may open in the middle of a word and goes on with it, but after a closing one a blank or the end
///   must follow.
///
/// Memory taken is bounded by the length of the line, which the caller bounds.
pub fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let end = memchr::memchr(0, line).unwrap_or(line.len());
    let mut rest = &line[..end];
    let mut words = Vec::new();
    loop {
        let Some(start) = rest.iter().position(|&byte| !is_blank(byte)) else { return Some(words) };
        let mut word = Vec::new();
        rest = take_word(&rest[start..], &mut word)?;
        words.push(word);
    }
}

/// C's `isspace`: unlike `is_ascii_whitespace` it counts the vertical tab.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Moves one word off the front of the line and returns what follows.
fn take_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            // A bare word goes on over vertical tabs and form feeds, though between words they count as
            // blanks.
            b' ' | b'\n' | b'\r' | b'\t' => return Some(after),
            b'"' => return take_double(after, word),
            b'\'' => return take_single(after, word),
            _ => {
                word.push(byte);
                after
            }
        };
    }
    Some(rest)
}

fn take_double<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, used) = match *rest {
            [] => return None,
            [b'"', ref after @ ..] => return closed(after),
            [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex_value(high) << 4 | hex_value(low), 4)
            }
            [b'\\', escaped, ..] => (unescaped(escaped), 2),
            [byte, ..] => (byte, 1),
        };
        word.push(byte);
        rest = &rest[used..];
    }
}

fn take_single<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, used) = match *rest {
            [] => return None,
            [b'\'', ref after @ ..] => return closed(after),
            [b'\\', b'\'', ..] => (b'\'', 2),
            [byte, ..] => (byte, 1),
        };
        word.push(byte);
        rest = &rest[used..];
    }
}

/// What follows a closing quote, if it may follow one.
fn closed(after: &[u8]) -> Option<&[u8]> {
    after.first().is_none_or(|&byte| is_blank(byte)).then_some(after)
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

fn unescaped(letter: u8) -> u8 {
    match letter {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

/// A word as it is if it is plain, otherwise in double quotes: [`split_words`] reads it back as this one word.
pub fn plain_or_quoted(word: &[u8]) -> Cow<'_, str> {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !br#""'\"#.contains(byte);
    match std::str::from_utf8(word) {
        Ok(text) if !word.is_empty() && word.iter().all(is_plain) => Cow::Borrowed(text),
        _ => Cow::Owned(quoted(word)),
    }
}

/// Bytes in double quotes, printable ones as they are and all others escaped, as Redis prints them in
/// `MONITOR`.
pub fn quoted(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() + 2);
    text.push('"');
    for &byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b'"' => text.push_str("\\\""),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            0x07 => text.push_str("\\a"),
            0x08 => text.push_str("\\b"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                text.push_str("\\x");
                text.push(char::from(DIGITS[usize::from(byte >> 4)]));
                text.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line and its words.
    type Row = (&'static [u8], Option<&'static [&'static [u8]]>);

    #[test]
    fn words() {
        let table: &[Row] = &[
            (b"", Some(&[])),
            (b"  \t\r\n\x0b\x0c ", Some(&[])),
            (b"PING", Some(&[b"PING"])),
            (b" set  a\tb\r\n", Some(&[b"set", b"a", b"b"])),
            (b"\x0bset a\x0bb \x0c", Some(&[b"set", b"a\x0bb"])),
            (b"a\0b", Some(&[b"a"])),
            (b"a \"b\0\"", None),
            (br#""" '' x"#, Some(&[b"", b"", b"x"])),
            (br#""a b" 'c d'"#, Some(&[b"a b", b"c d"])),
            (br#""\x41\xfF\x0g\x""#, Some(&[b"A\xffx0gx"])),
            (br#""\n\r\t\b\a\\\"\q\'""#, Some(&[b"\n\r\t\x08\x07\\\"q'"])),
            (br#"'\n\'\\"'"#, Some(&[br#"\n'\\""#])),
            (br#"ab"c d""#, Some(&[b"abc d"])),
            (br"ab'c d' e", Some(&[b"abc d", b"e"])),
            (b"\"a\"\x0bb", Some(&[b"a", b"b"])),
            (br#"a\"b c""#, Some(&[br"a\b c"])),
            (br#""a"b"#, None),
            (br"'a'b", None),
            (br#""a"'b'"#, None),
            (br#""a"#, None),
            (br"'a", None),
            (br#""a\"#, None),
            (br#""a\""#, None),
            (br"'a\'", None),
            (b"\"", None),
            (br"a\ b", Some(&[br"a\", b"b"])),
            (b"\xc3\xa5\xff", Some(&[b"\xc3\xa5\xff"])),
        ];
        for &(line, want) in table {
            let got = split_words(line);
            let want = want.map(|words| words.iter().map(|word| word.to_vec()).collect::<Vec<_>>());
            assert_eq!(got, want, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn quoting() {
        let table: &[(&[u8], &str)] = &[
            (b"", r#""""#),
            (b"plain ~", r#""plain ~""#),
            (b"\n\r\t\x07\x08\\\"'", r#""\n\r\t\a\b\\\"'""#),
            (b"\0\x0b\x1f\x7f\x80\xff", r#""\x00\x0b\x1f\x7f\x80\xff""#),
            ("å".as_bytes(), r#""\xc3\xa5""#),
        ];
        for &(bytes, want) in table {
            assert_eq!(quoted(bytes), want);
        }
    }

    #[test]
    fn what_is_quoted_is_read_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(split_words(quoted(&all).as_bytes()), Some(vec![all.clone()]));
        for first in 0..=255u8 {
            for second in [first, b'x', b'\\', b'"', b'0'] {
                let word = vec![first, second];
                assert_eq!(split_words(quoted(&word).as_bytes()), Some(vec![word]));
            }
        }
    }
}
