//! Requests typed by hand: one line, words with blanks between them.

/// Splits a line as Redis splits typed lines; `None` if a quote is unbalanced. Stands in for
/// `base::quote::split_words` until that is there.
pub(super) fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let blank = |byte: u8| byte == b' ' || (9..=13).contains(&byte);
    let (mut words, mut at) = (Vec::new(), 0);
    loop {
        while at < line.len() && blank(line[at]) {
            at += 1;
        }
        if at == line.len() {
            return Some(words);
        }
        let mut word = Vec::new();
        while at < line.len() && !blank(line[at]) {
            let byte = line[at];
            at += 1;
            match byte {
                b'"' | b'\'' => {
                    at = quoted(line, at, byte, &mut word)?;
                    if at < line.len() && !blank(line[at]) {
                        return None;
                    }
                }
                _ => word.push(byte),
            }
        }
        words.push(word);
    }
}

/// Reads a quoted part that starts at `at` up to its closing quote; gives where the line goes on.
fn quoted(line: &[u8], mut at: usize, quote: u8, word: &mut Vec<u8>) -> Option<usize> {
    loop {
        let byte = *line.get(at)?;
        at += 1;
        if byte == quote {
            return Some(at);
        }
        if byte != b'\\' {
            word.push(byte);
            continue;
        }
        let rest = &line[at..];
        if quote == b'\'' {
            let escaped = rest.first() == Some(&b'\'');
            word.push(if escaped { b'\'' } else { b'\\' });
            at += escaped as usize;
            continue;
        }
        let hex = |i: usize| rest.get(i).and_then(|&digit| (digit as char).to_digit(16));
        if let (Some(b'x'), Some(high), Some(low)) = (rest.first(), hex(1), hex(2)) {
            word.push((high * 16 + low) as u8);
            at += 3;
            continue;
        }
        word.push(match *rest.first()? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 8,
            b'a' => 7,
            other => other,
        });
        at += 1;
    }
}
