//! Which arguments of a request nobody else may read: passwords, and what says who has which.
//!
//! Whatever shows requests to others, such as the slow log, puts [`HIDDEN`] in their place.

use crate::config::directive::Directive;
use crate::config::live::Flag;
use crate::resp::request::Args;

/// What is shown instead.
pub const HIDDEN: &[u8] = b"(redacted)";

/// The arguments of a request to the command of this full name, the secret ones replaced.
pub fn without_secrets<'a>(full_name: &str, args: Args<'a>) -> Vec<&'a [u8]> {
    let words: Vec<&[u8]> = args.iter().collect();
    let is_secret: Box<dyn Fn(usize) -> bool> = match full_name {
        "auth" => Box::new(|index| 0 < index),
        "hello" => {
            let auth = words.iter().position(|word| word.eq_ignore_ascii_case(b"auth"));
            Box::new(move |index| auth.is_some_and(|auth| auth < index && index <= auth + 2))
        }
        "config|set" => {
            let named: Vec<bool> = words.iter().map(|word| names_secret(word)).collect();
            // Names stand at even places from the third word on, each before its value.
            Box::new(move |index| 3 <= index && index % 2 == 1 && named[index - 1])
        }
        "acl|setuser" | "acl|getuser" | "acl|deluser" => Box::new(|index| 2 <= index),
        "migrate" => {
            let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let auth = words.iter().position(|word| is(word, "auth") || is(word, "auth2"));
            let last = auth.map(|at| at + if is(words[at], "auth2") { 2 } else { 1 });
            Box::new(move |index| auth.zip(last).is_some_and(|(at, last)| at < index && index <= last))
        }
        _ => return words,
    };
    words.iter().enumerate().map(|(index, word)| if is_secret(index) { HIDDEN } else { word }).collect()
}

/// Whether this is a directive whose value is a secret.
fn names_secret(word: &[u8]) -> bool {
    let name = std::str::from_utf8(word).ok().map(str::to_lowercase);
    name.and_then(|name| Directive::find(&name)).is_some_and(|directive| directive.has(Flag::Secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::request::Request;

    #[test]
    fn secrets_are_replaced() {
        for (name, line, expected) in [
            ("get", "GET auth", "GET auth"),
            ("auth", "auth hush", "auth *"),
            ("auth", "AUTH me hush", "AUTH * *"),
            ("hello", "HELLO 3 AUTH me hush SETNAME x", "HELLO 3 AUTH * * SETNAME x"),
            ("hello", "HELLO 3", "HELLO 3"),
            ("config|set", "config set RequirePass hush port 1", "config set RequirePass * port 1"),
            ("config|set", "CONFIG SET port requirepass masterauth hush", {
                "CONFIG SET port requirepass masterauth *"
            }),
            ("config|set", "CONFIG SET", "CONFIG SET"),
            ("acl|setuser", "acl setuser bob on >hush", "acl setuser * * *"),
            ("migrate", "MIGRATE h 1 k 0 9 COPY AUTH2 me hush KEYS", "MIGRATE h 1 k 0 9 COPY AUTH2 * * KEYS"),
        ] {
            let request = Request::new(line.split(' ').map(str::as_bytes));
            let shown: Vec<String> = without_secrets(name, request.args())
                .iter()
                .map(|word| if *word == HIDDEN { "*".into() } else { String::from_utf8_lossy(word).into() })
                .collect();
            assert_eq!(shown.join(" "), expected);
        }
    }
}
