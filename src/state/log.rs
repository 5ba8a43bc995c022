//! The records of a turn, before the floor `io` writes them: RESP commands, with a `SELECT` wherever the
//! database changes.

/// Records that wait to be written.
#[derive(Default, Debug)]
pub struct Log {
    /// Whether anyone keeps records at all.
    pub enabled: bool,
    bytes: Vec<u8>,
    database: Option<usize>,
    records: u64,
    group: Group,
}

/// Whether records belong together.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
enum Group {
    #[default]
    None,
    /// They do, and none has come yet.
    Announced,
    /// They do, and `MULTI` stands before them.
    Open,
}

impl Log {
    /// Appends a request in its canonical encoding.
    #[inline]
    pub fn raw(&mut self, database: usize, request: &[u8]) {
        if self.enabled {
            self.begin(database);
            self.bytes.extend_from_slice(request);
        }
    }

    /// Appends a command given by its arguments.
    pub fn record(&mut self, database: usize, args: &[&[u8]]) {
        if self.enabled {
            self.begin(database);
            push_command(&mut self.bytes, args);
        }
    }

    /// Appends through `write`, which adds exactly one encoded command.
    pub fn with(&mut self, database: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if self.enabled {
            self.begin(database);
            write(&mut self.bytes);
        }
    }

    #[inline]
    fn begin(&mut self, database: usize) {
        self.records += 1;
        if self.group == Group::Announced {
            self.group = Group::Open;
            push_command(&mut self.bytes, &[b"MULTI"]);
        }
        if self.database != Some(database) {
            self.database = Some(database);
            push_command(&mut self.bytes, &[b"SELECT", database.to_string().as_bytes()]);
        }
    }

    /// The records that follow belong together: either all of them are run again, or none.
    pub fn begin_group(&mut self) {
        self.group = Group::Announced;
    }

    /// What belongs together ends here.
    pub fn end_group(&mut self) {
        if std::mem::take(&mut self.group) == Group::Open {
            push_command(&mut self.bytes, &[b"EXEC"]);
        }
    }

    /// The next record states its database, since it may begin a file.
    pub fn forget_database(&mut self) {
        self.database = None;
    }

    /// The records that wait.
    pub fn pending(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of memory that the buffer takes.
    pub fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// The buffer of waiting records, for whoever writes it: it seals, writes and clears it.
    pub fn pending_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Number of records since the start.
    pub fn records(&self) -> u64 {
        self.records
    }
}

/// Appends one command in RESP.
pub fn push_command(out: &mut Vec<u8>, args: &[&[u8]]) {
    push_header(out, b'*', args.len());
    args.iter().for_each(|arg| push_bulk(out, arg));
}

/// Appends one argument of a command.
pub fn push_bulk(out: &mut Vec<u8>, arg: &[u8]) {
    push_header(out, b'$', arg.len());
    out.extend_from_slice(arg);
    out.extend_from_slice(b"\r\n");
}

/// Appends the line before a command's arguments (`*`) or before an argument's bytes (`$`).
pub fn push_header(out: &mut Vec<u8>, sigil: u8, number: usize) {
    out.push(sigil);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_select_stands_where_the_database_changes() {
        let mut log = Log { enabled: true, ..Log::default() };
        log.record(0, &[b"DEL", b"a"]);
        log.record(0, &[b"DEL", b"b"]);
        log.record(3, &[b"DEL", b"c"]);
        let text = String::from_utf8_lossy(log.pending()).replace("\r\n", " ");
        assert_eq!(text, "*2 $6 SELECT $1 0 *2 $3 DEL $1 a *2 $3 DEL $1 b *2 $6 SELECT $1 3 *2 $3 DEL $1 c ");
        assert_eq!(log.records(), 3);
    }
}
