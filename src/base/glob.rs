//! Glob patterns of `KEYS`, `SCAN` and `CONFIG GET`.
//!
//! A pattern is a row of elements, and each of them except `*` takes exactly one byte:
//!
//! - `?` takes any byte, `\x` takes `x`, every other byte takes itself;
//! - `[abc]`, `[a-z]`, `[^a-z]` take a byte that is (not) in the set; in it, too, a backslash makes a byte
//!   plain.
//!
//! Since lengths are fixed but for the stars, it is enough to come back to the *last* star when something
//! does not fit: if what stands between two stars fits here, then a later place for it leaves less text to
//! the rest and gains nothing. So the work is bounded by pattern times text, where trying every star against
//! every length would double with each star in `*a*a*a*b`.
//!
//! The corners are Redis's on x86, because patterns written for it are in use:
//!
//! - a set that is not closed ends with the pattern, and `]` never stands for itself unescaped, nor does `-`
//!   before it: in `[a-]` the range runs up to the bracket;
//! - a range that runs backwards is turned round, and bytes from 0x80 are negative in ranges, as C's `char`
//!   is;
//! - without regard to case, ranges are turned round before their ends are lowered, and escaped bytes in sets
//!   keep their case;
//! - an empty text matches the empty pattern only, not even `*`. Commands that take `*` for "everything"
//!   (`KEYS`, `SCAN`) look for that pattern before they come here, in Redis as in our house.

/// Whether the whole text fits the pattern; `nocase` leaves the case of ASCII letters out of account.
pub fn matches(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut at, mut read) = (0, 0);
    // The element after the last star, and the text position where that element was tried last.
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        if pattern.get(at) == Some(&b'*') {
            while pattern.get(at) == Some(&b'*') {
                at += 1;
            }
            if at == pattern.len() {
                return true;
            }
            star = Some((at, read));
        }
        if let Some(next) = element(pattern, at, text[read], nocase) {
            (at, read) = (next, read + 1);
        } else if let Some((after_star, tried)) = star {
            star = Some((after_star, tried + 1));
            (at, read) = (after_star, tried + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

/// Whether the pattern has no special byte, so that it can only match the text that it is itself.
pub fn literal(pattern: &[u8]) -> bool {
    !pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
}

/// Tries the element at `at`, no star, on one byte and returns where the next element begins; `None` where
/// the byte does not fit or the pattern is used up.
#[inline]
fn element(pattern: &[u8], at: usize, byte: u8, nocase: bool) -> Option<usize> {
    let (want, next) = match pattern[at..] {
        [] => return None,
        [b'?', ..] => return Some(at + 1),
        [b'[', ..] => return set(pattern, at + 1, byte, nocase),
        [b'\\', escaped, ..] => (escaped, at + 2),
        [plain, ..] => (plain, at + 1),
    };
    same(want, byte, nocase).then_some(next)
}

/// Tries the set whose members begin at `at`, behind the opening bracket.
fn set(pattern: &[u8], mut at: usize, byte: u8, nocase: bool) -> Option<usize> {
    let negated = pattern.get(at) == Some(&b'^');
    at += usize::from(negated);
    let mut found = false;
    loop {
        // The order of these arms is the meaning: `\]` is a member, `]-a` closes the set, `a-]` is a range.
        match pattern[at..] {
            [b'\\', escaped, ..] => {
                found |= escaped == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [first, b'-', last, ..] => {
                found |= in_range(first, last, byte, nocase);
                at += 3;
            }
            [member, ..] => {
                found |= same(member, byte, nocase);
                at += 1;
            }
            [] => break,
        }
    }
    (found != negated).then_some(at)
}

#[inline]
fn same(a: u8, b: u8, nocase: bool) -> bool {
    a == b || (nocase && a.eq_ignore_ascii_case(&b))
}

fn in_range(first: u8, last: u8, byte: u8, nocase: bool) -> bool {
    let fold = |byte: u8| if nocase { byte.to_ascii_lowercase() as i8 } else { byte as i8 };
    let (low, high) = if first as i8 <= last as i8 { (first, last) } else { (last, first) };
    (fold(low)..=fold(high)).contains(&fold(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pattern, then texts that match, then texts that do not.
    type Row = (&'static [u8], &'static [&'static [u8]], &'static [&'static [u8]]);

    fn check(nocase: bool, table: &[Row]) {
        for &(pattern, yes, no) in table {
            for &text in yes {
                assert!(
                    matches(pattern, text, nocase),
                    "{} / {}",
                    pattern.escape_ascii(),
                    text.escape_ascii()
                );
            }
            for &text in no {
                assert!(
                    !matches(pattern, text, nocase),
                    "{} / {}",
                    pattern.escape_ascii(),
                    text.escape_ascii()
                );
            }
        }
    }

    #[test]
    fn with_case() {
        check(
            false,
            &[
                (b"", &[b""], &[b"a"]),
                (b"*", &[b"a", b"abc"], &[b""]),
                (b"**", &[b"a", b"abc"], &[b""]),
                (b"?", &[b"a", b"\xff"], &[b"", b"ab"]),
                (b"abc", &[b"abc"], &[b"ab", b"abcd", b"ABC", b""]),
                (b"a*", &[b"a", b"ab", b"a*"], &[b"ba", b""]),
                (b"a**", &[b"a", b"abc"], &[b"b"]),
                (b"*a", &[b"a", b"ba", b"aaa"], &[b"ab"]),
                (b"a*?", &[b"ab", b"abc"], &[b"a"]),
                (b"h*llo", &[b"hllo", b"heeeello"], &[b"hell", b"hellooo"]),
                (b"*ab*ab*", &[b"abab", b"xabyabz"], &[b"aba", b"ab"]),
                (b"*a*b", &[b"aab", b"ab", b"aabb"], &[b"aba"]),
                (b"a\\*b", &[b"a*b"], &[b"axb", b"a\\*b"]),
                (b"a\\", &[b"a\\"], &[b"a", b"ab"]),
                (b"\\a\\b", &[b"ab"], &[b"\\a\\b"]),
                (b"*\\*", &[b"*", b"a*"], &[b"a"]),
                (b"a\0*", &[b"a\0", b"a\0b"], &[b"a"]),
            ],
        );
    }

    #[test]
    fn sets() {
        check(
            false,
            &[
                (b"h[ae]llo", &[b"hello", b"hallo"], &[b"hillo", b"hllo"]),
                (b"h[^e]llo", &[b"hallo", b"h^llo"], &[b"hello", b"hllo"]),
                (b"[a-c]", &[b"a", b"b", b"c"], &[b"d", b"-", b"A"]),
                (b"[c-a]", &[b"a", b"b", b"c"], &[b"d", b"-"]),
                (b"[^c-a]", &[b"d", b"-"], &[b"a", b"b", b"c"]),
                (b"[a-cx-z_]1", &[b"a1", b"y1", b"_1"], &[b"d1", b"a"]),
                // Not closed: the set ends with the pattern.
                (b"[abc", &[b"a", b"c"], &[b"[", b"ab"]),
                (b"[a-", &[b"a", b"-"], &[b"b"]),
                (b"[a-z", &[b"m"], &[b"-"]),
                (b"[^a", &[b"b"], &[b"a"]),
                (b"[", &[], &[b"[", b"a", b""]),
                (b"[^", &[b"a", b"^"], &[b"", b"ab"]),
                (b"[^]", &[b"a", b"]"], &[b"ab"]),
                (b"[]", &[], &[b"[]", b"]", b"a"]),
                (b"[]a]", &[], &[b"]", b"a", b"a]"]),
                (b"[a\\", &[b"a", b"\\"], &[b"b"]),
                // Escapes, and ranges into what looks special.
                (b"[\\]]", &[b"]"], &[b"\\", b"\\]"]),
                (b"[\\^a]", &[b"^", b"a"], &[b"b", b"\\"]),
                (b"[\\a-c]", &[b"a", b"-", b"c"], &[b"b"]),
                (b"[a-]", &[b"a", b"]", b"_"], &[b"-", b"b"]),
                (b"[a-]x]", &[b"a", b"]", b"x"], &[b"ax", b"b"]),
                (b"[+--]", &[b"+", b",", b"-"], &[b"."]),
                (b"[*?]", &[b"*", b"?"], &[b"a"]),
                // Bytes from 0x80 lie below zero.
                (b"[a-\xff]", &[b"a", b"\xff", b"Z", b"\0"], &[b"b", b"\x80", b"\xfe"]),
                (b"[\x80-\xff]", &[b"\x80", b"\xaa", b"\xff"], &[b"a", b"\0"]),
                (b"*[0-9]*[x]", &[b"a1bx", b"1x"], &[b"x1", b"ax"]),
            ],
        );
    }

    #[test]
    fn without_case() {
        check(
            true,
            &[
                (b"MAX*", &[b"maxmemory", b"MaxClients", b"max"], &[b"mini"]),
                (b"a\\B", &[b"Ab", b"AB"], &[b"a\\b"]),
                (b"[a-c]", &[b"B"], &[b"D"]),
                (b"[A-C]", &[b"b"], &[b"d"]),
                (b"[aB]", &[b"A", b"b"], &[b"c"]),
                (b"[\\a]", &[b"a"], &[b"A"]),
                // Turned round before lowered: from `Z` to `a` becomes from `z` to `a`, which is nothing.
                (b"[Z-a]", &[], &[b"z", b"a", b"Z", b"_"]),
                (b"[a-Z]", &[], &[b"z", b"a", b"m"]),
                (b"[^Z-a]", &[b"z", b"_"], &[]),
            ],
        );
    }

    #[test]
    fn many_stars_stay_cheap() {
        let text = vec![b'a'; 3000];
        let mut pattern = b"*a".repeat(200);
        assert!(matches(&pattern, &text, false));
        pattern.extend_from_slice(b"*b");
        assert!(!matches(&pattern, &text, true));
    }

    #[test]
    fn literals() {
        for pattern in ["", "abc", "a]b", "^-"] {
            assert!(literal(pattern.as_bytes()), "{pattern}");
        }
        for pattern in ["*", "a?", "[", "\\a"] {
            assert!(!literal(pattern.as_bytes()), "{pattern}");
        }
    }
}
