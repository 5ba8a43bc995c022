//! A server process in a directory of its own, on a free port, gone with the test.

use super::{Client, PATIENCE, poll_until, run, wait_until};
use std::fs::OpenOptions;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// How often we look for another free port when somebody else was faster.
const PORT_ATTEMPTS: usize = 20;

/// The binary under test: ours, or whatever `KVICK_TEST_BIN` names (the tests themselves are tested that way).
pub fn binary() -> String {
    std::env::var("KVICK_TEST_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_kvick").to_string())
}

/// Is the binary under test ours? What only kvick does is asked only then.
pub fn is_kvick() -> bool {
    std::env::var_os("KVICK_TEST_BIN").is_none()
}

/// The real server that ours is compared with: `REDIS_REFERENCE`, or what the package installed.
pub fn reference() -> String {
    std::env::var("REDIS_REFERENCE").unwrap_or_else(|_| "/usr/bin/redis-server".to_string())
}

/// A running server; dropping it kills it.
pub struct Server {
    binary: String,
    args: Vec<String>,
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Server {
    /// The binary under test with `args` after the defaults (free port, own directory, nothing saved).
    pub fn start(args: &[&str]) -> Server {
        Server::start_binary(&binary(), args)
    }

    /// The real server, for comparison.
    pub fn start_reference(args: &[&str]) -> Server {
        Server::start_binary(&reference(), args)
    }

    /// Any binary that takes the arguments of `redis-server`.
    pub fn start_binary(binary: &str, args: &[&str]) -> Server {
        Server::start_in(binary, args, tempfile::tempdir().expect("a temporary directory"))
    }

    /// The same in a directory that is there already (its data in `data/`).
    pub fn start_in(binary: &str, args: &[&str], folder: tempfile::TempDir) -> Server {
        std::fs::create_dir_all(folder.path().join("data")).expect("a data directory");
        let args: Vec<String> = args.iter().map(|a| a.to_string()).collect();
        let port = free_port();
        let child = spawn(binary, folder.path(), port, &args);
        let mut server = Server { binary: binary.to_string(), args, child, port, folder };
        server.await_ready();
        server
    }

    /// Starts the binary under test in `folder`, expecting that it refuses: its exit code and log.
    pub fn start_refused(args: &[&str], folder: &Path) -> (Option<i32>, String) {
        std::fs::create_dir_all(folder.join("data")).expect("a data directory");
        let args: Vec<String> = args.iter().map(|a| a.to_string()).collect();
        let mut child = spawn(&binary(), folder, free_port(), &args);
        let status = wait_for_exit(&mut child);
        (status.code(), read_log(folder))
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("resident memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// Its working directory, where its files are.
    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The directory around it, for the test's own files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// All it has logged since the first start.
    pub fn log(&self) -> String {
        read_log(self.folder.path())
    }

    /// Sends a signal by name, e.g. `TERM`.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Kills it as a crash would, and waits until it is gone.
    pub fn kill9(&mut self) {
        self.child.kill().expect("kill");
        self.wait();
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for_exit(&mut self.child)
    }

    /// SIGTERM, and the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal("TERM");
        let status = self.wait();
        assert_eq!(None, status.signal(), "SIGTERM killed it instead of ending it\n{}", self.log());
        status.code()
    }

    /// Starts it again in the same directory (on a new port), after `kill9` or `stop`, or after stopping it itself.
    pub fn restart(&mut self) {
        if self.child.try_wait().expect("wait").is_none() {
            self.stop();
        }
        self.port = free_port();
        self.child = spawn(&self.binary, self.folder.path(), self.port, &self.args);
        self.await_ready();
    }

    /// Ends the process and hands over the directory.
    pub fn into_folder(mut self) -> tempfile::TempDir {
        self.kill9();
        std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a temporary directory"))
    }

    /// Waits for its answer (or a demand to log in); tries another port if somebody took ours.
    fn await_ready(&mut self) {
        for _ in 0..PORT_ATTEMPTS {
            let ready = poll_until(PATIENCE, || {
                let ended = self.child.try_wait().expect("wait").is_some();
                ended || self.answers()
            });
            if ready && self.child.try_wait().expect("wait").is_none() {
                return;
            }
            let log = self.log();
            let taken = log.contains("in use") || log.contains("Failed listening");
            assert!(taken, "{} {:?} does not start:\n{log}", self.binary, self.args);
            self.port = free_port();
            self.child = spawn(&self.binary, self.folder.path(), self.port, &self.args);
        }
        panic!("no free port in {PORT_ATTEMPTS} attempts");
    }

    /// Is it our own process that listens there, and does it answer? Whoever lets nobody in cannot be asked who it is.
    fn answers(&self) -> bool {
        let Ok(mut client) = Client::try_connect("127.0.0.1", self.port) else { return false };
        let Ok(pong) = client.try_cmd(&["PING"]) else { return false };
        match pong.error() {
            None => client.try_cmd(&["INFO", "server"]).is_ok_and(|info| self.is_of(&info.text())),
            Some(text) => text.starts_with("NOAUTH") || text.starts_with("ERR max number"),
        }
    }

    /// Is it our process that says this of itself?
    fn is_of(&self, info: &str) -> bool {
        let id = info.lines().find_map(|line| line.strip_prefix("process_id:"));
        id.is_some_and(|id| id.trim() == self.pid().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.child.wait().expect("the killed server ends");
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("--- the last lines of {}:", self.binary);
            eprintln!("{}", lines[lines.len().saturating_sub(15)..].join("\n"));
        }
    }
}

/// A port nobody listens on right now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

/// Sends a signal by name to a process.
pub fn signal(pid: u32, name: &str) {
    let output = run("kill", &[&format!("-{name}"), &pid.to_string()], b"");
    assert!(output.status.success(), "kill -{name} {pid}");
}

/// A first argument that is no option is a configuration file and has to stand first; what the file `stdin` in `folder`
/// holds, if there is one, goes to the standard input (for the configuration file `-`).
///
/// Starts through a shell that raises the limit of open files as far as it may.
fn spawn(binary: &str, folder: &Path, port: u16, args: &[String]) -> Child {
    let log = OpenOptions::new().create(true).append(true).open(folder.join("log")).expect("a log file");
    let errors = log.try_clone().expect("a second handle of the log");
    let config = args.first().filter(|arg| !arg.starts_with("--"));
    let stdin = match std::fs::File::open(folder.join("stdin")) {
        Ok(file) => Stdio::from(file),
        Err(_) => Stdio::null(),
    };
    Command::new("sh")
        .args(["-c", "ulimit -S -n $(ulimit -H -n) || true; exec \"$0\" \"$@\"", binary])
        .args(config)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--dir".as_ref(), folder.join("data").as_os_str()])
        .args(["--save", "", "--appendonly", "no"])
        .args(&args[config.iter().len()..])
        .stdin(stdin)
        .stdout(log)
        .stderr(errors)
        .spawn()
        .expect("the server starts")
}

fn read_log(folder: &Path) -> String {
    let bytes = std::fs::read(folder.join("log")).expect("the log");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn wait_for_exit(child: &mut Child) -> ExitStatus {
    let mut status = None;
    wait_until("the server ends", || {
        status = child.try_wait().expect("wait");
        status.is_some()
    });
    status.expect("it has ended")
}
