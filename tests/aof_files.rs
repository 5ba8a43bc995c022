//! The files of the log: what is written is read, what is cut is a prefix, what is altered is refused, and real
//! servers agree.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use kvick::io::aof::append::AppendFile;
use kvick::io::aof::batch;
use kvick::io::aof::check::check;
use kvick::io::aof::damage::cut_tail;
use kvick::io::aof::manifest::{Found, Manifest, Place, find};
use kvick::io::aof::reader::{Ending, LoadError, Report, Sink, Trouble, load, read_file};
use kvick::io::aof::record::Request;
use kvick::io::disk::Real;
use tempfile::TempDir;

/// Keeps what it is handed, as text: `SET a 1`.
#[derive(Default)]
struct Heard {
    requests: Vec<String>,
    read: u64,
}

impl Sink for Heard {
    fn request(&mut self, request: Request<'_>) -> Result<(), String> {
        let words: Vec<_> = request.arguments().map(|word| word.escape_ascii().to_string()).collect();
        if words[0] == "BAD" {
            return Err("unknown command 'BAD'".to_owned());
        }
        self.requests.push(words.join(" "));
        Ok(())
    }

    fn progress(&mut self, bytes: u64) {
        self.read += bytes;
    }
}

fn request(words: &str) -> Vec<u8> {
    let words: Vec<_> = words.split(' ').collect();
    let mut out = format!("*{}\r\n", words.len());
    for word in words {
        out.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    out.into_bytes()
}

fn requests(all: &[&str]) -> Vec<u8> {
    all.iter().flat_map(|words| request(words)).collect()
}

/// Adds a batch as the writer would.
fn add_batch(file: &mut Vec<u8>, records: &[&str], synced: Option<u64>) {
    let records = requests(records);
    file.extend_from_slice(batch::header(file.len() as u64, &records, synced).as_bytes());
    file.extend_from_slice(&records);
}

/// Writes `bytes` as a file and reads it; whatever comes, all that was handed out.
fn read_bytes(dir: &TempDir, bytes: &[u8], last: bool) -> (Result<Report, LoadError>, Vec<String>) {
    let path = dir.path().join("a");
    fs::write(&path, bytes).expect("written");
    let mut heard = Heard::default();
    (read_file(&Real, &path, last, &mut heard), heard.requests)
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// A small log: a transaction, a timestamp, an empty batch; and where its batches end, with the requests until then.
fn small_log() -> (Vec<u8>, Vec<(u64, usize)>) {
    let mut file = Vec::new();
    let mut ends = vec![(0, 0)];
    let mut count = 0;
    let batches: [&[&str]; 4] =
        [&["SELECT 0", "SET a 1"], &["MULTI", "INCR x", "EXEC"], &[], &["SET *1 $1", "SET #KV #TS:1"]];
    for records in batches {
        let synced = ends.iter().rev().nth(1).map(|&(end, _)| end);
        add_batch(&mut file, records, synced);
        count += records.len();
        ends.push((file.len() as u64, count));
    }
    (file, ends)
}

const SMALL: [&str; 7] = ["SELECT 0", "SET a 1", "MULTI", "INCR x", "EXEC", "SET *1 $1", "SET #KV #TS:1"];

#[test]
fn what_is_written_is_read() {
    let dir = directory();
    let path = dir.path().join("a");
    let mut file = AppendFile::create(&Real, &path).expect("created");
    file.append(&requests(&["SELECT 0", "SET a 1"])).expect("written");
    let mut records = Vec::new();
    batch::timestamp(&mut records, 1_795_209_229);
    records.extend(requests(&["MULTI", "INCR x", "EXEC"]));
    file.append(&records).expect("written");
    file.set_synced(Some(file.offset()));
    file.append(b"").expect("written");
    let mut heard = Heard::default();
    let report = read_file(&Real, &path, true, &mut heard).expect("whole");
    assert_eq!(heard.requests, ["SELECT 0", "SET a 1", "MULTI", "INCR x", "EXEC"]);
    let size = file.offset();
    let lines = 3 + 1 + 5 + 7 + 3 + 5 + 3;
    let (ending, begins_ours) = (Ending::Sealed, true);
    let expected =
        Report { size, good: size, requests: 5, batches: 3, lines, torn: None, ending, begins_ours };
    assert_eq!(report, expected);
    assert_eq!(heard.read, size);
}

#[test]
fn loose_requests_and_batches_follow_each_other() {
    let dir = directory();
    let mut file = b"#TS:1\r\n# any\n".to_vec();
    file.extend(requests(&["SELECT 0", "MULTI", "SET a 1"]));
    file.extend_from_slice(b"#TS:2\r\n");
    file.extend(request("exec"));
    add_batch(&mut file, &["SET b 2"], None);
    file.extend(request("SET c 3"));
    add_batch(&mut file, &["SET d 4"], Some(0));
    let (report, heard) = read_bytes(&dir, &file, false);
    assert_eq!(heard, ["SELECT 0", "MULTI", "SET a 1", "exec", "SET b 2", "SET c 3", "SET d 4"]);
    assert_eq!(report.expect("whole").batches, 2);
}

#[test]
fn a_log_cut_at_any_byte_is_a_prefix_of_whole_batches() {
    let dir = directory();
    let (file, ends) = small_log();
    for cut in 0..=file.len() {
        let (report, heard) = read_bytes(&dir, &file[..cut], true);
        let report = report.unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        let &(end, count) = ends.iter().rfind(|&&(end, _)| end <= cut as u64).expect("zero is one");
        assert_eq!((report.good, report.torn.is_some()), (end, end != cut as u64), "cut at {cut}");
        assert_eq!(heard, SMALL[..count], "cut at {cut}");

        let path = dir.path().join("a");
        let beside = cut_tail(&Real, &path, report.good).expect("cut");
        assert_eq!(fs::read(&beside).expect("read"), file[end as usize..cut]);
        AppendFile::open(&Real, &path, end).expect("opened").append(&request("SET z 9")).expect("written");
        let mut heard = Heard::default();
        assert_eq!(read_file(&Real, &path, false, &mut heard).expect("whole").torn, None);
        assert_eq!(heard.requests.len(), count + 1);
        fs::remove_file(beside).expect("removed");

        if end != cut as u64 {
            let (report, _) = read_bytes(&dir, &file[..cut], false);
            assert!(report.is_err(), "cut at {cut}, and another file follows");
        }
    }
}

#[test]
fn another_servers_file_cut_at_any_byte_ends_outside_multi() {
    let dir = directory();
    let parts = [requests(&["SELECT 0"]), requests(&["MULTI", "INCR x", "EXEC"]), request("SET a 1")];
    let counts = [0, 1, 4, 5];
    let file = parts.concat();
    for cut in 0..=file.len() {
        let (report, heard) = read_bytes(&dir, &file[..cut], true);
        let report = report.unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        let whole = (0..=3).rfind(|&whole| parts[..whole].concat().len() <= cut).expect("zero is one");
        let end = parts[..whole].concat().len() as u64;
        assert_eq!((report.good, report.torn.is_some()), (end, end != cut as u64), "cut at {cut}");
        assert_eq!(heard.len(), counts[whole], "cut at {cut}");
    }
}

#[test]
fn an_altered_byte_never_brings_a_wrong_request() {
    let dir = directory();
    let (file, _) = small_log();
    for place in 0..file.len() {
        let bits = (0..8).map(|bit| file[place] ^ (1 << bit));
        for byte in bits.chain(*b"\0\n\r#* 0\xff") {
            if byte == file[place] {
                continue;
            }
            let mut altered = file.clone();
            altered[place] = byte;
            for last in [true, false] {
                let (report, heard) = read_bytes(&dir, &altered, last);
                assert!(
                    SMALL.starts_with(&heard.iter().map(String::as_str).collect::<Vec<_>>()),
                    "{place} {byte}"
                );
                if let Ok(Report { torn: None, .. }) = report {
                    // The one thing that may pass: a header that became somebody's comment.
                    assert_eq!(heard, SMALL, "{place} {byte}");
                    assert!(altered.windows(3).filter(|three| three == b"#KV").count() < 5, "{place} {byte}");
                }
            }
        }
    }
}

#[test]
fn a_batch_dropped_moved_or_doubled_is_refused() {
    let dir = directory();
    let (file, ends) = small_log();
    let part = |from: usize, to: usize| &file[ends[from].0 as usize..ends[to].0 as usize];
    let (one, two, rest) = (part(0, 1), part(1, 2), part(2, 4));
    for (altered, at) in [
        ([one, rest].concat(), ends[1].0),
        ([two, one, rest].concat(), 0),
        ([one, two, two, rest].concat(), ends[2].0),
        ([one, b"\r\n", two, rest].concat(), ends[1].0),
    ] {
        let (report, _) = read_bytes(&dir, &altered, false);
        let Err(LoadError { trouble: Trouble::Corrupt { damage, .. }, .. }) = report else {
            panic!("{report:?}")
        };
        assert_eq!(damage.at, at);
    }
}

/// Three batches, written with these words on what is synced (by batches), the middle one damaged as told.
fn damaged(synced: [Option<usize>; 3], damage: impl Fn(&mut [u8])) -> (Vec<u8>, u64) {
    let (mut file, mut ends) = (Vec::new(), vec![0]);
    for (name, synced) in ["SET a 1", "SET b 2", "SET c 3"].into_iter().zip(synced) {
        add_batch(&mut file, &[name], synced.map(|batches| ends[batches]));
        ends.push(file.len() as u64);
    }
    damage(&mut file[ends[1] as usize..ends[2] as usize]);
    (file, ends[1])
}

#[test]
fn a_hole_is_torn_only_if_nobody_says_it_was_synced() {
    let dir = directory();
    let hole: fn(&mut [u8]) = |bytes| bytes.fill(0);
    let flip: fn(&mut [u8]) = |bytes| bytes[bytes.len() - 3] ^= 1;
    let rows = [
        ([Some(0), Some(0), Some(0)], true),
        ([Some(0), Some(1), Some(1)], true),
        ([Some(0), Some(1), Some(2)], false),
        ([None, None, None], false),
        ([Some(0), Some(0), None], false),
    ];
    for (synced, torn) in rows {
        for damage in [hole, flip] {
            let (file, place) = damaged(synced, damage);
            let (report, heard) = read_bytes(&dir, &file, true);
            assert_eq!(heard, ["SET a 1"]);
            match report {
                Ok(report) => assert_eq!((torn, report.good), (true, place), "{synced:?}"),
                Err(error) => {
                    assert!(!torn, "{synced:?}: {error}");
                    let text = error.to_string();
                    assert!(text.contains(&format!("corrupt at byte {place}: ")), "{text}");
                    assert!(text.contains("Whole batches follow"), "{text}");
                    assert!(text.contains("kvick check-aof --fix"), "{text}");
                }
            }
            let (report, _) = read_bytes(&dir, &file, false);
            assert!(report.is_err(), "another file follows");
        }
    }
}

#[test]
fn a_hole_at_the_beginning_or_within_a_header_is_a_hole() {
    let dir = directory();
    for synced in [Some(0), None] {
        let (file, _) = damaged([synced, synced, synced], |_| {});
        let mut ends: Vec<usize> = Vec::new();
        for (at, _) in file.windows(4).enumerate().filter(|(_, four)| four == b"#KV ") {
            ends.push(at);
        }
        // The beginning is lost; the second header from its second letter on; the same, up to its line end.
        let header = ends[1] + file[ends[1]..].iter().position(|byte| *byte == b'\n').expect("a line");
        for (from, to) in [(0, 10), (ends[1] + 1, ends[1] + 9), (ends[1] + 2, header)] {
            let mut holed = file.clone();
            holed[from..to].fill(0);
            let (report, heard) = read_bytes(&dir, &holed, true);
            assert_eq!(report.is_ok_and(|report| report.torn.is_some()), synced.is_some(), "{from} {to}");
            assert_eq!(heard.len(), usize::from(from != 0));
        }
    }
}

#[test]
fn tails_of_all_kinds() {
    let dir = directory();
    let mut ours = Vec::new();
    add_batch(&mut ours, &["SET a 1"], None);
    let theirs = request("SET a 1");
    let mut broken = Vec::new();
    add_batch(&mut broken, &["SET a 1"], None);
    let place = broken.len() - 3;
    broken[place] ^= 1;
    let rows: [(&str, Vec<u8>, bool); 9] = [
        ("zeros after ours", [&ours[..], &[0; 5000]].concat(), true),
        ("zeros after theirs", [&theirs[..], &[0; 5000]].concat(), true),
        ("zeros only", vec![0; 300], true),
        ("a hole, then a rest, after ours", [&ours[..], &[0; 50], b"rest\r\n"].concat(), true),
        ("a hole, then a rest, after theirs", [&theirs[..], &[0; 50], b"rest\r\n"].concat(), false),
        ("garbage after theirs", [&theirs[..], b"garbage"].concat(), false),
        ("garbage only", b"garbage".to_vec(), false),
        ("a broken batch at the end", broken.clone(), true),
        ("a broken batch, and somebody wrote after it", [&broken[..], &theirs].concat(), false),
    ];
    for (name, file, torn) in rows {
        let (report, _) = read_bytes(&dir, &file, true);
        assert_eq!(report.is_ok_and(|report| report.torn.is_some()), torn, "{name}");
    }
}

#[test]
fn what_is_refused_by_name() {
    let dir = directory();
    let refused = |bytes: &[u8]| read_bytes(&dir, bytes, true).0.expect_err("refused").to_string();
    assert!(refused(b"REDIS0011").contains("opens with an RDB file"));
    assert!(refused(&requests(&["EXEC"])).contains("corrupt at byte 0: Unexpected EXEC"));
    assert!(refused(&requests(&["MULTI", "MULTI"])).contains("corrupt at byte 15: Unexpected MULTI"));
    assert!(
        refused(&requests(&["SET a 1", "BAD"])).contains("at byte 27 that cannot be run: unknown command")
    );
    let mut open = Vec::new();
    add_batch(&mut open, &["MULTI", "SET a 1"], None);
    assert!(refused(&open).contains("the batch ends within MULTI"));
    let long = format!("#{}\r\n", "x".repeat(126));
    assert!(refused(long.as_bytes()).contains("an annotation that is too long"));
    let text = read_file(&Real, &dir.path().join("none"), true, &mut Heard::default())
        .expect_err("none")
        .to_string();
    assert!(text.contains("none: No such file"), "{text}");
}

#[test]
fn giants_pass_the_window() {
    let dir = directory();
    let giant = "x".repeat(3 << 20);
    let many: Vec<String> = (0..100_000).map(|number| format!("SET key:{number} {number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut file = Vec::new();
    add_batch(&mut file, &[&format!("SET a {giant}"), "SET b 1"], None);
    file.extend(request(&format!("SET c {giant}")));
    file.extend(requests(&["MULTI", &format!("SET d {giant}"), "EXEC"]));
    add_batch(&mut file, &many, None);
    file.extend(requests(&many));
    let path = dir.path().join("a");
    fs::write(&path, &file).expect("written");
    let mut heard = Heard::default();
    let report = read_file(&Real, &path, false, &mut heard).expect("whole");
    assert_eq!((report.requests, report.good, heard.read), (200_006, report.size, report.size));
    assert_eq!(heard.requests[0].len(), 6 + giant.len());
    assert!(heard.requests[6..100_006] == many && heard.requests[100_006..] == many);

    let place = file.len() - requests(&many).len() - 1000;
    file[place] ^= 1;
    let (report, heard) = read_bytes(&dir, &file, true);
    assert!(report.is_err(), "somebody wrote after the broken batch");
    assert_eq!(heard.len(), 6);
}

#[test]
fn a_manifest_is_loaded_file_by_file() {
    let dir = directory();
    let place = Place::new(dir.path(), "a");
    let text = "file b seq 1 type b\nfile h seq 9 type h\nfile i seq 1 type i\nfile j seq 2 type i\n";
    let manifest = Manifest::parse(text.as_bytes()).expect("a manifest");
    let rows = [
        ("1", "2", "3", Ok(3)),
        ("1", "2", "", Ok(2)),
        ("1", "2-torn", "", Ok(1)),
        ("1", "2-torn", "3", Err("i is corrupt at byte 0")),
    ];
    let bytes = |word: &str| match word {
        "" => Vec::new(),
        "2-torn" => request("SET a 2")[..20].to_vec(),
        number => request(&format!("SET a {number}")),
    };
    for (base, first, second, expected) in rows {
        for (name, word) in [("b", base), ("i", first), ("j", second)] {
            fs::write(dir.path().join(name), bytes(word)).expect("written");
        }
        let mut heard = Heard::default();
        match (load(&place, &manifest, &mut heard), expected) {
            (Ok(loaded), Ok(count)) => {
                assert_eq!((heard.requests.len(), loaded.len()), (count, 3));
                let torn: Vec<_> = loaded.iter().filter(|file| file.report.torn.is_some()).collect();
                assert_eq!(torn.len(), usize::from(first == "2-torn"));
            }
            (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
            (result, _) => panic!("{result:?}, not {expected:?}"),
        }
    }
    fs::remove_file(dir.path().join("j")).expect("removed");
    assert!(load(&place, &manifest, &mut Heard::default()).is_err());
}

/// Runs the checker; its exit code and what it said.
fn checked(path: &Path, fix: bool, answer: &str) -> (u8, String) {
    let mut out = Vec::new();
    let code = check(&Real, path, fix, &mut answer.as_bytes(), &mut out).expect("checked");
    (code, String::from_utf8(out).expect("text"))
}

#[test]
fn the_checker_says_what_redis_check_aof_says() {
    let dir = directory();
    let path = dir.path().join("a");
    let theirs = requests(&["SELECT 0", "SET a 1", "MULTI", "INCR x", "EXEC"]);
    let rows: [(&str, Vec<u8>); 6] = [
        ("whole", theirs.clone()),
        ("empty", Vec::new()),
        ("torn in MULTI", theirs[..theirs.len() - 14].to_vec()),
        ("torn in a request", theirs[..40].to_vec()),
        ("EXEC alone", request("EXEC")),
        ("with batches", small_log().0),
    ];
    for (name, bytes) in rows {
        fs::write(&path, bytes).expect("written");
        let (code, ours) = checked(&path, false, "");
        let Some(real) = real_check(&path) else { return };
        // The damage itself is said in other words.
        let lines = |text: &str| {
            let lines = text.lines().filter(|line| !line.starts_with("0x"));
            let strip = |line: &str| line.split(", ok_up_to_line").next().unwrap_or_default().to_owned();
            lines.map(strip).collect::<Vec<_>>().join("\n").replace("a is", "A")
        };
        let full = lines(&real.1).replace(&path.display().to_string(), "P");
        assert_eq!(code, real.0, "{name}: {ours} {full}");
        assert_eq!(lines(&ours).replace(&path.display().to_string(), "P"), full, "{name}");
    }
}

#[test]
fn the_checker_cuts_the_tail_when_told() {
    let dir = directory();
    let path = dir.path().join("a");
    let (file, ends) = small_log();
    let good = ends[3].0;
    let torn = &file[..file.len() - 3];
    fs::write(&path, torn).expect("written");
    for answer in ["", "n\n", "no, y"] {
        let (code, said) = checked(&path, true, answer);
        assert_eq!((code, fs::read(&path).expect("read").len()), (1, torn.len()));
        assert!(said.ends_with("Continue? [y/N]: Aborting...\n"), "{said}");
    }
    let (code, said) = checked(&path, true, "y\n");
    assert_eq!((code, fs::read(&path).expect("read")), (0, file[..good as usize].to_vec()));
    let beside = dir.path().join(format!("a.cut-{good}"));
    assert_eq!(fs::read(&beside).expect("read"), torn[good as usize..]);
    assert!(said.ends_with(&format!("What was cut off is kept in {}\n", beside.display())), "{said}");
    assert_eq!(checked(&path, true, "y\n").0, 0);

    let (file, place) = damaged([None; 3], |bytes| bytes.fill(b'x'));
    fs::write(&path, file).expect("written");
    let (code, said) = checked(&path, true, "Y\n");
    assert!(said.contains("Whole batches follow: this is no torn tail"), "{said}");
    assert_eq!((code, fs::read(&path).expect("read").len() as u64), (0, place));
}

#[test]
fn the_checker_goes_through_a_manifest() {
    let dir = directory();
    let path = dir.path().join("a.manifest");
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).expect("written");
    write("a.manifest", b"# c\nfile b seq 1 type b\nfile i seq 1 type i\nfile j seq 2 type i\n");
    let (whole, torn) = (request("SET a 1"), &request("SET a 1")[..20]);
    for name in ["b", "i", "j"] {
        write(name, &whole);
    }
    let (code, said) = checked(&path, false, "");
    let expected = "Start checking Multi Part AOF\n\
        Start to check BASE AOF (RESP format).\n\
        AOF analyzed: filename=b, size=27, ok_up_to=27, ok_up_to_line=7, diff=0\n\
        BASE AOF b is valid\n\
        Start to check INCR files.\n\
        AOF analyzed: filename=i, size=27, ok_up_to=27, ok_up_to_line=7, diff=0\n\
        INCR AOF i is valid\n\
        AOF analyzed: filename=j, size=27, ok_up_to=27, ok_up_to_line=7, diff=0\n\
        INCR AOF j is valid\n\
        All AOF files and manifest are valid\n";
    assert_eq!((code, said.as_str()), (0, expected));
    write("i", torn);
    let (code, said) = checked(&path, true, "y\n");
    assert!(
        code == 1 && said.ends_with("Failed to truncate AOF i because it is not the last file\n"),
        "{said}"
    );
    write("j", b"");
    let (code, said) = checked(&path, true, "y\n");
    assert!(code == 0 && said.contains("Successfully truncated AOF i\n"), "{said}");
    fs::remove_file(dir.path().join("j")).expect("removed");
    let (code, said) = checked(&path, false, "");
    assert!(code == 1 && said.ends_with("j: No such file or directory, aborting...\n"), "{said}");
    write("a.manifest", b"file a/b seq 1 type b\n");
    let (code, said) = checked(&path, false, "");
    assert!(code == 1 && said.contains("File can't be a path, just a filename"), "{said}");
    let (code, said) = checked(&dir.path().join("none"), false, "");
    let path = dir.path().join("none");
    assert_eq!(
        (code, said),
        (1, format!("Cannot open file {}: No such file or directory\n", path.display()))
    );
}

/// The real servers to ask: the one that is installed, and those named in `KVICK_TEST_SERVERS` (`:` between).
fn servers() -> Vec<String> {
    let named = std::env::var("KVICK_TEST_SERVERS").unwrap_or_default();
    let all = named.split(':').chain(["redis-server"]).filter(|name| !name.is_empty()).map(str::to_owned);
    let there = |name: &String| Command::new(name).arg("--version").output().is_ok();
    let servers: Vec<String> = all.filter(there).collect();
    if servers.is_empty() {
        eprintln!("no redis-server is installed: nobody was asked");
    }
    servers
}

fn real_check(path: &Path) -> Option<(u8, String)> {
    let output = Command::new("redis-check-aof").arg(path).output().ok()?;
    let code = u8::try_from(output.status.code().expect("it ended")).expect("a small code");
    Some((code, String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// A real server on a socket in its directory.
struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
    client: BufReader<UnixStream>,
}

impl Server {
    fn start(program: &str, dir: &Path, name: &str) -> Server {
        let mut command = Command::new(program);
        command.args(["--port", "0", "--unixsocket"]).arg(dir.join("socket")).arg("--dir").arg(dir);
        command.args(["--save", "", "--appendonly", "yes", "--aof-use-rdb-preamble", "no"]);
        command.args(["--auto-aof-rewrite-percentage", "0", "--aof-disable-auto-gc", "yes"]);
        command.args(["--appendfilename", name, "--aof-timestamp-enabled", "yes"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        wait_for(&mut out, "eady to accept connections");
        // The last word may be said before the socket takes anybody, but not before it is there.
        let client = BufReader::new(UnixStream::connect(dir.join("socket")).expect("connected"));
        Server { child, out, client }
    }

    /// One line of reply; of a bulk, the line after.
    fn ask(&mut self, words: &str) -> String {
        self.client.get_mut().write_all(&request(words)).expect("sent");
        let mut line = String::new();
        self.client.read_line(&mut line).expect("a reply");
        if line.starts_with('$') && !line.starts_with("$-") {
            line.clear();
            self.client.read_line(&mut line).expect("a bulk");
        }
        line.trim_end().to_owned()
    }

    fn wait_for(&mut self, text: &str) {
        wait_for(&mut self.out, text);
    }

    fn stop(mut self) {
        self.client.get_mut().write_all(&request("SHUTDOWN NOSAVE")).expect("sent");
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).expect("read to its end");
        assert!(self.child.wait().expect("ended").success(), "{rest}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Only after a failed assertion is it still there.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(|_| ()).unwrap_or_default();
    }
}

fn wait_for(out: &mut BufReader<ChildStdout>, text: &str) {
    let mut said = String::new();
    while !said.lines().last().is_some_and(|line| line.contains(text)) {
        assert_ne!(out.read_line(&mut said).expect("text"), 0, "it ended without '{text}':\n{said}");
    }
}

fn place(dir: &Path, name: &str) -> (Place, PathBuf) {
    (Place::new(dir.join("appendonlydir"), name), dir.join(name))
}

fn found(dir: &Path, name: &str) -> Manifest {
    let (place, old) = place(dir, name);
    match find(&place, &old).expect("found") {
        Found::Manifest(manifest) => manifest,
        other => panic!("{other:?}"),
    }
}

#[test]
fn manifests_change_as_a_real_servers_do() {
    for program in servers() {
        for name in ["appendonly.aof", "we ird é.aof"] {
            let dir = directory();
            let mut server = Server::start(&program, dir.path(), name);
            let mut ours = found(dir.path(), name);
            let place = place(dir.path(), name).0;
            for round in 0..3 {
                assert_eq!(server.ask(&format!("SET key {round}")), "+OK");
                server.ask("BGREWRITEAOF");
                server.wait_for("Background AOF rewrite finished successfully");
                let kept = ours.add_increment(&place).seq;
                let base = ours.next_base(&place, false);
                ours.rewritten(base, kept);
                assert_eq!(found(dir.path(), name), ours, "{program} {name} {round}");
            }
            assert_eq!(server.ask("SET other 1"), "+OK");
            server.stop();
            assert_eq!(found(dir.path(), name), ours);
            let mut heard = Heard::default();
            load(&place, &ours, &mut heard).expect("loaded");
            assert_eq!(heard.requests, ["SELECT 0", "SET key 2", "SELECT 0", "SET other 1"], "{program}");
        }
    }
}

#[test]
fn either_server_takes_over_the_others_directory() {
    for program in servers() {
        let dir = directory();
        let (place, _) = place(dir.path(), "a b.aof");
        fs::create_dir(place.directory()).expect("created");
        let mut manifest = Manifest::default();
        let path = place.path(&manifest.add_increment(&place).name);
        let mut file = AppendFile::create(&Real, &path).expect("created");
        manifest.commit(&place).expect("committed");
        file.append(&requests(&["SELECT 0", "SET a 1"])).expect("written");
        file.set_synced(Some(file.offset()));
        let mut records = Vec::new();
        batch::timestamp(&mut records, 1_795_209_229);
        records.extend(requests(&["MULTI", "INCR a", "INCR a", "EXEC"]));
        file.append(&records).expect("written");
        file.append(b"").expect("written");

        let mut server = Server::start(&program, dir.path(), "a b.aof");
        assert_eq!(server.ask("GET a"), "3", "{program}");
        assert_eq!(server.ask("INCR a"), ":4");
        server.stop();

        assert_eq!(found(dir.path(), "a b.aof").increments, manifest.increments);
        let mut heard = Heard::default();
        let report = read_file(&Real, &path, true, &mut heard).expect("whole");
        assert_eq!((report.batches, report.torn), (3, None));
        assert_eq!(heard.requests[heard.requests.len() - 2..], ["SELECT 0", "INCR a"]);
        let mut file = AppendFile::open(&Real, &path, report.good).expect("opened");
        file.append(&requests(&["SELECT 0", "INCR a"])).expect("written");
        file.append(b"").expect("written");

        let (code, said) = checked(&place.manifest(), false, "");
        assert_eq!(code, 0, "{said}");
        if let Some((code, said)) = real_check(&place.manifest()) {
            assert_eq!(code, 0, "{said}");
        }
        let mut server = Server::start(&program, dir.path(), "a b.aof");
        assert_eq!(server.ask("GET a"), "5", "{program}");
        server.stop();
    }
}
