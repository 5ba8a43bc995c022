//! The words of a manifest's line: quoted where they are not plain, with Redis's escapes.

/// Writes a name as it is if that is one plain word, otherwise in quotes. Redis leaves a name with an apostrophe
/// bare and then cannot read it back; in quotes both can.
pub(super) fn quote(out: &mut Vec<u8>, name: &[u8]) {
    if name.iter().all(|&byte| byte.is_ascii_graphic() && !br#""'\"#.contains(&byte)) {
        return out.extend_from_slice(name);
    }
    out.push(b'"');
    for &byte in name {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            7 => out.extend_from_slice(b"\\a"),
            8 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    out.push(b'"');
}

/// Splits a line into words, of which any part may be in double quotes (with escapes) or single ones (with `\'`
/// only). A quote that does not end, or does not end its word, spoils the line.
pub(super) fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let mut word = Vec::new();
        while let [byte, after @ ..] = rest {
            rest = after;
            match byte {
                b'"' => rest = double_quoted(rest, &mut word)?,
                b'\'' => rest = single_quoted(rest, &mut word)?,
                b' ' | b'\t' | b'\r' | b'\n' => break,
                _ => word.push(*byte),
            }
        }
        words.push(word);
        rest = rest.trim_ascii_start();
    }
    Some(words)
}

/// Reads up to the closing quote, after which a blank or nothing must stand; gives what is left.
fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match rest {
            [b'"', after @ ..] => return ends_word(after),
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |byte: &u8| (*byte as char).to_digit(16).unwrap_or(0) as u8;
                (digit(high) * 16 + digit(low), after)
            }
            [b'\\', escaped, after @ ..] => {
                let byte = match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                };
                (byte, after)
            }
            [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        word.push(byte);
        rest = after;
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match rest {
            [b'\'', after @ ..] => return ends_word(after),
            [b'\\', b'\'', after @ ..] => (b'\'', after),
            [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        word.push(byte);
        rest = after;
    }
}

fn ends_word(after: &[u8]) -> Option<&[u8]> {
    after.first().is_none_or(u8::is_ascii_whitespace).then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_as_redis_does() {
        let mut out = Vec::new();
        quote(&mut out, b"we ird\"\xc3\xa9\t\x07.aof");
        assert_eq!(out, br#""we ird\"\xc3\xa9\t\a.aof""#);
    }

    #[test]
    fn lines_are_split_as_redis_does() {
        let yes: [(&[u8], &[&[u8]]); 8] = [
            (b"", &[]),
            (b"  a  b\tc ", &[b"a", b"b", b"c"]),
            (br#"a"b c" d"#, &[b"ab c", b"d"]),
            (br#""" ''"#, &[b"", b""]),
            (br#""\x41\n\q\xzz""#, &[b"A\nqxzz"]),
            (br"'a\'b\n'", &[br"a'b\n"]),
            (br"a\b", &[br"a\b"]),
            (br#""\\" "\"""#, &[br"\", b"\""]),
        ];
        for (line, words) in yes {
            let split = split_words(line);
            assert_eq!(split.as_deref(), Some(&words.iter().map(|w| w.to_vec()).collect::<Vec<_>>()[..]));
        }
        for line in [&br#"""#[..], br#""a"b"#, b"'", b"'a'b", b"it's", br#""a\"#] {
            assert_eq!(split_words(line), None, "{}", line.escape_ascii());
        }
    }
}
