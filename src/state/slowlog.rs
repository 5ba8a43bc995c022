//! The slow log: the last commands that took longer than `slowlog-log-slower-than`. The logs of big requests and
//! replies are the same.
//!
//! An entry keeps at most [`ARGS_MAX`] arguments of at most [`ARG_LEN_MAX`] bytes each; what is left out is said
//! in the place of the last argument and at the end of a long one, in Redis's words.

use std::collections::VecDeque;

/// Arguments kept of one command.
pub const ARGS_MAX: usize = 32;
/// Bytes kept of one argument.
pub const ARG_LEN_MAX: usize = 128;

/// One slow command, or a big one.
#[derive(Debug, Clone)]
pub struct SlowEntry {
    /// Its number, never used twice.
    pub id: u64,
    /// Seconds since the epoch.
    pub at_secs: i64,
    /// Microseconds it took, or bytes it had.
    pub amount: u64,
    /// Its arguments, shortened.
    pub args: Vec<Vec<u8>>,
    /// Address of the client.
    pub addr: String,
    /// Name of the client.
    pub name: Vec<u8>,
}

/// A log of commands, newest first.
#[derive(Debug, Default)]
pub struct Slowlog {
    entries: VecDeque<SlowEntry>,
    next_id: u64,
}

impl Slowlog {
    /// Adds a command and forgets the oldest ones beyond `len_max`.
    pub fn add<'a>(
        &mut self,
        at_secs: i64,
        amount: u64,
        args: impl ExactSizeIterator<Item = &'a [u8]>,
        client: (&str, &[u8]),
        len_max: usize,
    ) {
        let entry = SlowEntry {
            id: self.next_id,
            at_secs,
            amount,
            args: shorten(args),
            addr: client.0.to_owned(),
            name: client.1.to_vec(),
        };
        self.next_id += 1;
        self.entries.push_front(entry);
        self.entries.truncate(len_max);
    }

    /// The entries, newest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &SlowEntry> {
        self.entries.iter()
    }

    /// Forgets all entries.
    pub fn reset(&mut self) {
        self.entries.clear();
    }
}

fn shorten<'a>(args: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let total = args.len();
    let kept = if ARGS_MAX < total { ARGS_MAX - 1 } else { total };
    let mut out: Vec<Vec<u8>> = args
        .take(kept)
        .map(|arg| match arg.len().checked_sub(ARG_LEN_MAX) {
            None | Some(0) => arg.to_vec(),
            Some(more) => [&arg[..ARG_LEN_MAX], format!("... ({more} more bytes)").as_bytes()].concat(),
        })
        .collect();
    if kept < total {
        out.push(format!("... ({} more arguments)", total - kept).into_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_commands_are_shortened_in_redis_words() {
        let long = [b'x'; 130];
        let args: Vec<&[u8]> = std::iter::repeat_n(&long[..], 40).collect();
        let mut log = Slowlog::default();
        for _ in 0..3 {
            log.add(1, 2, args.iter().copied(), ("a:1", b"n"), 2);
        }
        let entries: Vec<&SlowEntry> = log.iter().collect();
        assert_eq!(entries.iter().map(|e| e.id).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(entries[0].args.len(), 32);
        assert_eq!(entries[0].args[31], b"... (9 more arguments)");
        assert!(entries[0].args[0].ends_with(b"x... (2 more bytes)"));
    }
}
