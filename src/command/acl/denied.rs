//! What a denied client hears, and what the log of denials keeps of it.

use crate::command::client::line_of;
use crate::command::permission::Lack;
use crate::command::registry::commands;
use crate::command::spec::{Error, repeated};
use crate::resp::output::Output;
use crate::resp::request::Args;
use crate::state::State;
use crate::state::acl::User;
use crate::state::denials::{Denial, Reason};

impl Lack {
    /// Why it is denied, as the log says it.
    pub fn reason(self) -> Reason {
        match self {
            Lack::Command => Reason::Command,
            Lack::Key(_) => Reason::Key,
            Lack::Channel(_) => Reason::Channel,
            Lack::Database(_) => Reason::Database,
        }
    }

    /// What the client hears.
    pub fn error(self, user: &User, number: usize) -> Error {
        Error::text(match self {
            Lack::Command => format!("NOPERM {}", lacks_command(user, number)),
            Lack::Key(_) => String::from("NOPERM No permissions to access a key"),
            Lack::Channel(_) => String::from("NOPERM No permissions to access a channel"),
            Lack::Database(_) => String::from("NOPERM No permissions to access database"),
        })
    }

    /// What whoever tries it with `ACL DRYRUN` hears, who may know it all.
    pub fn in_full(self, user: &User, number: usize, request: Args<'_>) -> String {
        let (position, what) = match self {
            Lack::Command => return lacks_command(user, number),
            Lack::Key(position) => (position, "key"),
            Lack::Channel(position) => (position, "channel"),
            Lack::Database(position) => {
                let (name, object) =
                    (repeated(&user.name, usize::MAX), repeated(request.get(position), usize::MAX));
                return format!("User {name} has no permissions to access database {object}");
            }
        };
        let (name, object) = (repeated(&user.name, usize::MAX), repeated(request.get(position), usize::MAX));
        format!("User {name} has no permissions to access the '{object}' {what}")
    }

    /// What a client hears whose request was let into a transaction, and would not be now.
    pub fn error_in_exec(self) -> Error {
        let why = match self {
            Lack::Command => "no permission to execute the command or subcommand",
            Lack::Key(_) => "no permission to touch the specified keys",
            Lack::Channel(_) => {
                "no permission to access one of the channels used as arguments to the command"
            }
            Lack::Database(_) => "no permission",
        };
        Error::text(format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This \
             command is no longer allowed for the following reason: {why}"
        ))
    }
}

fn lacks_command(user: &User, number: usize) -> String {
    let (name, command) = (repeated(&user.name, usize::MAX), &commands().row(number).full_name);
    format!("User {name} has no permissions to run the '{command}' command")
}

/// A request that is denied: whose, where its replies go, and the request.
#[derive(Clone, Copy)]
pub struct Denied<'a> {
    /// The client.
    pub token: usize,
    /// Its output.
    pub output: &'a Output,
    /// The request.
    pub args: Args<'a>,
    /// It is in a transaction.
    pub in_multi: bool,
}

/// Notes that a request was denied.
pub fn note(state: &mut State, denied: Denied<'_>, number: usize, lack: Lack) {
    let object = match lack {
        Lack::Command => commands().row(number).full_name.as_bytes(),
        Lack::Key(position) | Lack::Channel(position) | Lack::Database(position) => denied.args.get(position),
    };
    let user = state.sessions[denied.token].user_name.to_vec();
    let client = line_of(state, denied.token, denied.output, denied.args);
    add(state, What { reason: lack.reason(), in_multi: denied.in_multi, object, user, client });
}

/// Notes that a client could not log in as this user.
pub fn note_login(state: &mut State, denied: Denied<'_>, user: &[u8]) {
    let client = line_of(state, denied.token, denied.output, denied.args);
    let (object, user) = (denied.args.get(0), user.to_vec());
    add(state, What { reason: Reason::Auth, in_multi: denied.in_multi, object, user, client });
}

/// Notes that somebody who is no client could not log in as this user, at what `object` names.
pub fn note_stranger(state: &mut State, object: &[u8], user: &[u8]) {
    let (user, client) = (user.to_vec(), Vec::new());
    add(state, What { reason: Reason::Auth, in_multi: false, object, user, client });
}

/// What is to be noted, but for when.
struct What<'a> {
    reason: Reason,
    in_multi: bool,
    object: &'a [u8],
    user: Vec<u8>,
    client: Vec<u8>,
}

fn add(state: &mut State, what: What<'_>) {
    let now_ms = state.process.now_ms;
    let What { reason, in_multi, object, user, client } = what;
    let object = object.to_vec();
    let (created_ms, updated_ms) = (now_ms, now_ms);
    // The log numbers and counts its entries itself.
    let denial = Denial { id: 0, count: 0, reason, in_multi, object, user, client, created_ms, updated_ms };
    let len_max = state.settings.acllog_max_len as usize;
    state.denials.add(denial, len_max);
}
