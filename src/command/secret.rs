//! Which arguments of a request are secrets, to be shown nowhere: not in the slow log, nor to who monitors.

use crate::config::Settings;
use crate::resp::request::Args;

/// What stands in the place of a secret.
pub const REDACTED: &[u8] = b"(redacted)";

/// The arguments of a request with the secrets blacked out. `full_name` is that of the command's row.
pub fn redacted<'a>(full_name: &str, request: Args<'a>) -> Vec<&'a [u8]> {
    let mut shown: Vec<&[u8]> = request.iter().collect();
    let mut hide = |positions: std::ops::Range<usize>| {
        let end = positions.end.min(shown.len());
        shown[positions.start.min(end)..end].fill(REDACTED);
    };
    match full_name {
        "auth" => hide(1..request.len()),
        "acl|setuser" | "acl|deluser" | "acl|getuser" => hide(2..request.len()),
        "hello" => {
            let login = request.iter().skip(2).position(|word| word.eq_ignore_ascii_case(b"AUTH"));
            login.into_iter().for_each(|at| hide(at + 3..at + 5));
        }
        "config|set" => {
            let is_secret = |at: &usize| std::str::from_utf8(request.get(*at)).is_ok_and(Settings::is_secret);
            (2..request.len()).step_by(2).filter(is_secret).for_each(|at| hide(at + 1..at + 2));
        }
        _ => {}
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::request::Request;

    #[test]
    fn secrets_are_blacked_out() {
        for (name, line, expected) in [
            ("auth", "AUTH a", "AUTH *"),
            ("auth", "AUTH a b", "AUTH * *"),
            ("hello", "HELLO 3 auth a b SETNAME c", "HELLO 3 auth * * SETNAME c"),
            ("hello", "HELLO 3 SETNAME AUTH", "HELLO 3 SETNAME AUTH"),
            ("hello", "HELLO 3 AUTH a", "HELLO 3 AUTH *"),
            ("hello", "HELLO", "HELLO"),
            ("acl|setuser", "ACL SETUSER ann on >x", "ACL SETUSER * * *"),
            ("acl|getuser", "ACL GETUSER ann", "ACL GETUSER *"),
            ("acl|deluser", "ACL DELUSER ann bob", "ACL DELUSER * *"),
            (
                "config|set",
                "CONFIG SET port 1 RequirePass x maxmemory 1",
                "CONFIG SET port 1 RequirePass * maxmemory 1",
            ),
            ("config|set", "CONFIG SET requirepass", "CONFIG SET requirepass"),
            ("set", "SET auth x", "SET auth x"),
        ] {
            let request = Request::new(line.split(' ').map(str::as_bytes));
            let shown = redacted(name, request.args());
            let shown: Vec<_> = shown.into_iter().map(|word| String::from_utf8_lossy(word)).collect();
            assert_eq!(shown.join(" ").replace("(redacted)", "*"), expected, "{line}");
        }
    }
}
