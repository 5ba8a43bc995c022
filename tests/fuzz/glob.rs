//! Glob patterns: what fits is what a plain recursive reading of the rules says.

use kvick::base::glob::{literal, matches};

use super::Choices;

/// The bytes that one element takes, and the pattern behind it.
fn element(pattern: &[u8], nocase: bool) -> ([bool; 256], &[u8]) {
    let mut takes = [false; 256];
    let lower = |byte: u8| if nocase { byte.to_ascii_lowercase() } else { byte };
    let add = |takes: &mut [bool; 256], wanted: u8| {
        (0..=255u8)
            .filter(|&byte| lower(byte) == lower(wanted))
            .for_each(|byte| takes[usize::from(byte)] = true);
    };
    let rest = match pattern {
        [b'?', rest @ ..] => {
            takes = [true; 256];
            rest
        }
        [b'\\', escaped, rest @ ..] => {
            add(&mut takes, *escaped);
            rest
        }
        [b'[', rest @ ..] => {
            let (negated, mut rest) = match rest {
                [b'^', rest @ ..] => (true, rest),
                _ => (false, rest),
            };
            loop {
                match rest {
                    [b'\\', escaped, more @ ..] => {
                        takes[usize::from(*escaped)] = true;
                        rest = more;
                    }
                    [b']', more @ ..] => {
                        rest = more;
                        break;
                    }
                    [] => break,
                    [a, b'-', b, more @ ..] => {
                        // Of C's signed `char`; turned round before the case is left out of account.
                        let (a, b) = (*a as i8, *b as i8);
                        let (low, high) = (lower(a.min(b) as u8) as i8, lower(a.max(b) as u8) as i8);
                        for byte in 0..=255u8 {
                            takes[usize::from(byte)] |= (low..=high).contains(&(lower(byte) as i8));
                        }
                        rest = more;
                    }
                    [member, more @ ..] => {
                        add(&mut takes, *member);
                        rest = more;
                    }
                }
            }
            if negated {
                takes.iter_mut().for_each(|taken| *taken = !*taken);
            }
            rest
        }
        [plain, rest @ ..] => {
            add(&mut takes, *plain);
            rest
        }
        [] => unreachable!("the caller has looked"),
    };
    (takes, rest)
}

/// All places of the text at which the pattern may end, beginning at these.
fn ends(mut pattern: &[u8], text: &[u8], nocase: bool) -> Vec<bool> {
    let mut at = vec![false; text.len() + 1];
    at[0] = true;
    while let Some(first) = pattern.first() {
        if *first == b'*' {
            let first = at.iter().position(|reached| *reached).unwrap_or(at.len());
            at[first..].fill(true);
            pattern = &pattern[1..];
            continue;
        }
        let (takes, rest) = element(pattern, nocase);
        for place in (0..text.len()).rev() {
            at[place + 1] = at[place] && takes[usize::from(text[place])];
        }
        at[0] = false;
        pattern = rest;
    }
    at
}

/// Runs the target.
pub fn run(data: &[u8]) {
    let choices = &mut Choices(data);
    let nocase = choices.byte() & 1 != 0;
    let length = choices.below(80);
    let (pattern, text) = choices.0.split_at(length.min(choices.0.len()));
    let text = &text[..text.len().min(200)];
    let expected = if text.is_empty() { pattern.is_empty() } else { ends(pattern, text, nocase)[text.len()] };
    assert_eq!(
        matches(pattern, text, nocase),
        expected,
        "{} {}",
        pattern.escape_ascii(),
        text.escape_ascii()
    );
    if literal(pattern) && !nocase {
        assert_eq!(matches(pattern, text, false), pattern == text);
    }
}

/// Examples.
pub fn seeds() -> Vec<Vec<u8>> {
    let pairs =
        [("h?llo*", "hello world"), ("[a-z]\\*[^x]", "a*b"), ("*a*b*[]", "aabb"), ("[z-A\\]-]x*", "-xy")];
    let seed = |nocase: u8, (pattern, text): (&str, &str)| {
        [&[nocase, pattern.len() as u8], pattern.as_bytes(), text.as_bytes()].concat()
    };
    pairs.iter().flat_map(|pair| [seed(0, *pair), seed(1, *pair)]).collect()
}
