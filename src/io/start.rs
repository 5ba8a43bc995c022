//! From the command line to a running server.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::base::date::UnixMs;
use crate::base::number::parse_u64;
use crate::command::acl::file;
use crate::command::table::install;
use crate::config::{self, CommandLine, Notice, Settings};
use crate::engine::Engine;
use crate::io::aof::check;
use crate::io::clock::Clock;
use crate::io::disk::Real;
use crate::io::server::Server;
use crate::io::{crash, logger, sys, users};
use crate::state::names::Names;

/// Descriptors that the server needs besides those of its clients.
const RESERVED_FILES: u64 = 32;

const HELP: &str = "\
Usage: kvick [/path/to/kvick.conf] [options] [-]
       kvick - (read the configuration from standard input)
       kvick [...] --load-until <unix-ms> (with the data as it was then, see aof-timestamp-enabled)
       kvick check-aof [--fix] <file.manifest|file.aof>
       kvick --check-config <file>
       kvick -v or --version
       kvick -h or --help

Options are directives of the configuration file with two dashes before them.

Examples:
       kvick (a server on port 6379 with the append-only file on)
       kvick /etc/redis/6379.conf
       kvick --port 7777
       kvick /etc/mykvick.conf --loglevel verbose -
       echo 'maxmemory 128mb' | kvick -
";

/// What the command line and the files it names say.
struct Loaded {
    settings: Settings,
    notices: Vec<Notice>,
    /// Absolute path of the configuration file; empty if there is none.
    file: String,
    /// `--load-until`.
    until: Option<UnixMs>,
}

/// Runs the program. Returns its exit code.
pub fn main(arguments: &[String]) -> i32 {
    match arguments.first().map(String::as_str) {
        Some("--version" | "-v") => {
            println!("kvick v={} bits={}", env!("CARGO_PKG_VERSION"), usize::BITS);
            0
        }
        Some("--help" | "-h") => {
            print!("{HELP}");
            0
        }
        Some("--check-config") if arguments.len() == 2 => check_config(&arguments[1..]),
        Some("check-aof") => check_aof(&arguments[1..]),
        _ => match load_settings(arguments) {
            Ok(loaded) => run(loaded),
            Err(text) => {
                eprintln!("{text}");
                1
            }
        },
    }
}

fn check_config(arguments: &[String]) -> i32 {
    match load_settings(arguments) {
        Ok(loaded) => {
            loaded.notices.iter().for_each(|notice| println!("{notice}"));
            println!("The configuration is fine.");
            0
        }
        Err(text) => {
            eprintln!("{text}");
            1
        }
    }
}

fn check_aof(arguments: &[String]) -> i32 {
    let (fix, path) = match arguments {
        [path] => (false, path),
        [flag, path] if flag == "--fix" => (true, path),
        _ => {
            eprintln!("Usage: kvick check-aof [--fix] <file.manifest|file.aof>");
            return 1;
        }
    };
    let (mut stdin, mut stdout) = (std::io::stdin().lock(), std::io::stdout().lock());
    match check::check(&Real, Path::new(path), fix, &mut stdin, &mut stdout) {
        Ok(code) => i32::from(code),
        Err(error) => {
            eprintln!("{path}: {error}");
            1
        }
    }
}

fn load_settings(arguments: &[String]) -> Result<Loaded, String> {
    let (arguments, until) = take_load_until(arguments)?;
    let CommandLine { file, stdin, text } = config::from_command_line(&arguments);
    let mut whole = String::new();
    let mut path = String::new();
    if let Some(file) = file {
        let absolute = std::path::absolute(&file).map_err(|error| format!("{file}: {error}"))?;
        whole = std::fs::read_to_string(&absolute).map_err(|error| {
            format!("Fatal error, can't open config file '{}': {error}", absolute.display())
        })?;
        path = absolute.to_string_lossy().into_owned();
    }
    if stdin {
        end_line(&mut whole);
        std::io::stdin().read_to_string(&mut whole).map_err(|error| format!("standard input: {error}"))?;
    }
    end_line(&mut whole);
    whole.push_str(&text);
    let mut settings = Settings::default();
    let notices = config::load(&whole, &mut settings, &mut |pattern| include(pattern))
        .map_err(|error| error.to_string())?;
    Names::renamed(install(), &settings.rename_command)?;
    file::configured(&settings)?;
    Ok(Loaded { settings, notices, file: path, until })
}

/// Takes `--load-until` and its date out of the arguments. It is no directive: in a file it would go back at each start.
fn take_load_until(arguments: &[String]) -> Result<(Vec<String>, Option<UnixMs>), String> {
    let mut rest = arguments.to_vec();
    let Some(at) = rest.iter().position(|argument| argument == "--load-until") else {
        return Ok((rest, None));
    };
    let taken: Vec<String> = rest.drain(at..rest.len().min(at + 2)).collect();
    let date = taken.get(1).and_then(|text| parse_u64(text.as_bytes())).and_then(|ms| i64::try_from(ms).ok());
    let Some(date) = date.filter(|_| !rest.iter().any(|argument| argument == "--load-until")) else {
        return Err("--load-until needs one date, in milliseconds since the epoch".to_owned());
    };
    Ok((rest, Some(UnixMs(date))))
}

/// What follows begins a line of its own.
fn end_line(text: &mut String) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
}

/// The text of all files that an `include` names, in order; it may be a pattern.
fn include(pattern: &str) -> Result<String, String> {
    let mut text = String::new();
    for path in expand(pattern)? {
        text += &std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        text.push('\n');
    }
    Ok(text)
}

/// The files that a path with a pattern in its last part names, sorted; the path itself if it has none.
fn expand(pattern: &str) -> Result<Vec<PathBuf>, String> {
    if crate::base::glob::literal(pattern.as_bytes()) {
        return Ok(vec![PathBuf::from(pattern)]);
    }
    let path = Path::new(pattern);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let listing = match std::fs::read_dir(directory) {
        Ok(listing) => listing,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{}: {error}", directory.display())),
    };
    let mut found = Vec::new();
    for entry in listing {
        let entry = entry.map_err(|error| format!("{}: {error}", directory.display()))?;
        if crate::base::glob::matches(name.as_bytes(), entry.file_name().as_encoded_bytes(), false) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn run(loaded: Loaded) -> i32 {
    let until = loaded.until;
    match start(loaded) {
        Ok((server, pidfile)) => {
            let code = server.run(until);
            if let Some(path) = pidfile
                && let Err(error) = std::fs::remove_file(&path)
            {
                log::warn!("Could not remove the pid file {}: {error}", path.display());
            }
            code
        }
        Err(text) => {
            log::error!("{text}");
            if !log::log_enabled!(log::Level::Error) {
                eprintln!("{text}");
            }
            1
        }
    }
}

fn start(loaded: Loaded) -> Result<(Server, Option<PathBuf>), String> {
    let Loaded { mut settings, notices, file, .. } = loaded;
    if settings.daemonize {
        sys::daemonize().map_err(|error| format!("Can't go into the background: {error}"))?;
    }
    std::env::set_current_dir(&settings.dir)
        .map_err(|error| format!("Can't chdir to '{}': {error}", settings.dir))?;
    if let Ok(directory) = std::env::current_dir() {
        settings.dir = directory.to_string_lossy().into_owned();
    }
    logger::start(&settings.logfile, settings.loglevel)?;
    crash::install();
    let signals = sys::signal_fd().map_err(|error| format!("Can't take signals: {error}"))?;
    sys::choose_huge_pages();
    let pid = std::process::id();
    log::warn!("kvick version={}, bits={}, pid={pid}, just started", env!("CARGO_PKG_VERSION"), usize::BITS);
    if file.is_empty() {
        log::warn!("No config file specified, using the defaults");
    } else {
        log::warn!("Configuration loaded from {file}");
    }
    notices.iter().for_each(|notice| log::warn!("{notice}"));
    if !settings.appendonly && settings.save.is_empty() {
        log::warn!(
            "The append only file is off, and there are no save points: nothing is kept when this server stops"
        );
    }
    log::info!("Port: {}", settings.port);
    log::info!("PID: {pid}");
    limit_clients(&mut settings);
    let pidfile = write_pidfile(&settings);
    let clock = Clock::start();
    let mut engine = Engine::new(settings, seed()?);
    users::load_at_start(&mut engine)?;
    let server = Server::open(engine, clock, file, signals)?;
    log::info!("Server initialized");
    Ok((server, pidfile))
}

/// Unpredictable, so that nobody outside can aim at the hash of keys.
fn seed() -> Result<u64, String> {
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| format!("/dev/urandom: {error}"))?;
    Ok(u64::from_le_bytes(bytes))
}

/// Lowers `maxclients` to what the limit of open files allows.
fn limit_clients(settings: &mut Settings) {
    let wanted = u64::from(settings.maxclients) + u64::from(settings.maxclients_reserved) + RESERVED_FILES;
    let allowed = sys::raise_open_files(wanted);
    if allowed < wanted {
        let spoken_for = u64::from(settings.maxclients_reserved) + RESERVED_FILES;
        settings.maxclients = u32::try_from(allowed.saturating_sub(spoken_for)).unwrap_or(1).max(1);
        log::warn!(
            "You requested maxclients requiring at least {wanted} max file descriptors. The limit is {allowed}, so \
             maxclients has been reduced to {}.",
            settings.maxclients
        );
    }
}

fn write_pidfile(settings: &Settings) -> Option<PathBuf> {
    let path = match (settings.pidfile.as_str(), settings.daemonize) {
        ("", false) => return None,
        ("", true) => "/var/run/kvick.pid",
        (path, _) => path,
    };
    match std::fs::write(path, format!("{}\n", std::process::id())) {
        Ok(()) => Some(PathBuf::from(path)),
        Err(error) => {
            log::warn!("Failed to write PID file {path}: {error}");
            None
        }
    }
}
