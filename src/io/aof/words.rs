//! The words of a manifest's line: quoted where they are not plain, with Redis's escapes.

use crate::base::quote::plain_or_quoted;
pub(super) use crate::base::quote::split_words;

/// Writes a name as it is if that is one plain word, otherwise in quotes. Redis leaves a name with an apostrophe
/// bare and then cannot read it back; in quotes both can.
pub(super) fn quote(out: &mut Vec<u8>, name: &[u8]) {
    out.extend_from_slice(plain_or_quoted(name).as_bytes());
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
