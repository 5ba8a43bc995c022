//! `BACKUP`: the log as it is at one moment, in a directory of its own. Neither Redis nor Valkey has such a command.
//!
//! Whoever may choose a directory may have the server write anywhere, as with `CONFIG SET dir`. So without
//! `enable-protected-configs` it has to be one below `dir`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::command::config::is_local;
use crate::command::spec::flag::{ADMIN, NO_ASYNC_LOADING, NO_MULTI, NOSCRIPT};
use crate::command::spec::{Command, Ctx, Effect, Error, Group, Outcome};
use crate::config::Settings;
use crate::resp::request::Args;
use crate::state::ask::Ask;

const FLAGS: u32 = ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI;

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    Command { name: "backup", arity: 2, flags: FLAGS, keys: &[], run: backup, subcommands: &[],
        doc: Group::Server.doc("0.1.0", "O(N) of the files of the log, of which there are few", "directory", "Links the log, as it is at this moment, into a directory of its own.") },
];

const NO_DIRECTORY: Error = Error::of("ERR BACKUP needs the name of a directory, without '..' in it");
const OUTSIDE: Error = Error::of(
    "ERR BACKUP writes to a directory below dir only, unless enable-protected-configs in the configuration file \
     allows others",
);
const WITHIN_THE_LOG: Error = Error::of("ERR BACKUP does not write into the directory of the log itself");

fn backup(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let local = is_local(ctx.session());
    let directory = target(args.get(1), &ctx.state.settings, local)?;
    ctx.state.ask = Some(Ask::Backup { directory });
    Ok(Effect::Unchanged)
}

/// The directory that is meant, as seen from `dir`.
fn target(name: &[u8], settings: &Settings, local: bool) -> Result<PathBuf, Error> {
    let path = Path::new(OsStr::from_bytes(name));
    if name.contains(&0) || path.components().any(|part| part == Component::ParentDir) {
        return Err(NO_DIRECTORY);
    }
    // What is said in full may be below `dir` as well.
    let inside = path.strip_prefix(&settings.dir).unwrap_or(path);
    if inside.is_absolute() && !settings.enable_protected_configs.allows(local) {
        return Err(OUTSIDE);
    }
    let inside: PathBuf = inside.components().filter(|part| *part != Component::CurDir).collect();
    let Some(first) = inside.components().next() else { return Err(NO_DIRECTORY) };
    if first.as_os_str() == OsStr::new(&settings.appenddirname) {
        return Err(WITHIN_THE_LOG);
    }
    Ok(inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::tests::{opened, say};
    use crate::config::Access;

    #[test]
    fn where_a_backup_may_be_written() {
        let no_directory = "-ERR BACKUP needs the name of a directory, without '..' in it|";
        let outside = "-ERR BACKUP writes to a directory below dir only, unless enable-protected-configs in the \
                       configuration file allows others|";
        let within = "-ERR BACKUP does not write into the directory of the log itself|";
        for (name, protected, own, other) in [
            ("monday", "monday", "monday", "monday"),
            ("backups/monday", "backups/monday", "backups/monday", "backups/monday"),
            ("./a/./b/", "a/b", "a/b", "a/b"),
            ("/data/monday", "monday", "monday", "monday"),
            ("/elsewhere/monday", outside, "/elsewhere/monday", outside),
            ("/database", outside, "/database", outside),
            (".", no_directory, no_directory, no_directory),
            ("/data", no_directory, no_directory, no_directory),
            ("../monday", no_directory, no_directory, no_directory),
            ("/data/../monday", no_directory, no_directory, no_directory),
            ("appendonlydir", within, within, within),
            ("/data/./appendonlydir/monday", within, within, within),
            ("appendonlydir.old", "appendonlydir.old", "appendonlydir.old", "appendonlydir.old"),
        ] {
            for (access, addr, expected) in [
                (Access::No, "127.0.0.1:5", protected),
                (Access::Local, "127.0.0.1:5", own),
                (Access::Local, "10.0.0.1:5", other),
                (Access::Yes, "10.0.0.1:5", own),
            ] {
                let (mut engine, token) = opened(false, "s");
                engine.state.settings.dir = "/data".to_owned();
                engine.state.settings.enable_protected_configs = access;
                engine.state.sessions[token].addr = addr.to_owned();
                let reply = say(&mut engine, token, &format!("BACKUP {name}"));
                let found = match engine.state.ask.take() {
                    Some(Ask::Backup { directory }) => directory.to_string_lossy().into_owned() + &reply,
                    _ => reply,
                };
                assert_eq!(found, expected, "{name} {access:?} {addr}");
            }
        }
        let (mut engine, token) = opened(false, "s");
        assert_eq!(say(&mut engine, token, "BACKUP"), "-ERR wrong number of arguments for 'backup' command|");
        assert_eq!(say(&mut engine, token, "BACKUP a\0b"), no_directory);
        assert_eq!(say(&mut engine, token, "BACKUP "), no_directory);
    }
}
