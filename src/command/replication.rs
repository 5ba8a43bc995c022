//! What has to do with other servers, of which there are none: we are a master without replicas and no part of
//! a cluster, and each command answers as Redis does in that case.

use crate::base::number::parse_i64;
use crate::command::client::container;
use crate::command::options::Options;
use crate::command::spec::flag::{
    ADMIN, ALLOW_BUSY, BLOCKING, FAST, LOADING, NO_ASYNC_LOADING, NO_MULTI, NOSCRIPT, STALE,
};
use crate::command::spec::{Command, Ctx, Doc, Effect, Error, Group, Outcome, Run};
use crate::resp::request::Args;
use crate::state::ask::Ask;

const NO_CLUSTER: Error = Error::of("ERR This instance has cluster support disabled");
const PLAIN: u32 = STALE;
const ALTER: u32 = ADMIN | STALE | NO_ASYNC_LOADING;
const FOLLOW: u32 = ADMIN | NOSCRIPT | STALE | NO_ASYNC_LOADING;
const STREAM: u32 = ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI;

const fn row(name: &'static str, arity: i16, flags: u32, run: Run, doc: Doc) -> Command {
    Command { name, arity, flags, keys: &[], run, doc, subcommands: &[] }
}

/// A subcommand of `CLUSTER`.
const fn sub(name: &'static str, arity: i16, flags: u32, doc: Doc) -> Command {
    row(name, arity, flags, no_cluster, doc)
}

const fn doc(group: Group, since: &'static str, syntax: &'static str, summary: &'static str) -> Doc {
    group.doc(since, "O(1)", syntax, summary)
}

const fn cluster(since: &'static str, syntax: &'static str, summary: &'static str) -> Doc {
    doc(Group::Cluster, since, syntax, summary)
}

const FAILOVER: &str = "[TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]";

/// The rows of this family.
#[rustfmt::skip]
pub static COMMANDS: &[Command] = &[
    row("asking", 1, FAST, no_cluster, cluster("3.0.0", "", "Lets the next command reach keys that a cluster is moving here.")),
    row("failover", -1, ADMIN | NOSCRIPT | STALE, failover, doc(Group::Server, "6.2.0", FAILOVER, "Hands the part of the master over to a replica.")),
    row("psync", -3, STREAM, not_followed, doc(Group::Server, "2.8.0", "replicationid offset", "Begins the stream of changes for a replica.")),
    row("readonly", 1, LOADING | STALE | FAST, no_cluster, cluster("3.0.0", "", "Lets the client read from a replica in a cluster.")),
    row("readwrite", 1, LOADING | STALE | FAST, no_cluster, cluster("3.0.0", "", "Undoes READONLY.")),
    row("replconf", -1, ADMIN | NOSCRIPT | LOADING | STALE | ALLOW_BUSY, not_followed, doc(Group::Server, "3.0.0", "", "Settings of a replica's connection.")),
    row("replicaof", 3, FOLLOW, replicaof, doc(Group::Server, "5.0.0", "<host port | NO ONE>", "Makes the server follow another one, or none.")),
    row("role", 1, NOSCRIPT | LOADING | STALE | FAST, role, doc(Group::Server, "2.8.12", "", "Returns the part that the server plays in replication.")),
    row("slaveof", 3, FOLLOW, replicaof, doc(Group::Server, "1.0.0", "<host port | NO ONE>", "The old name of REPLICAOF.")),
    row("sync", 1, STREAM, not_followed, doc(Group::Server, "1.0.0", "", "Begins the stream of changes for a replica, from scratch.")),
    row("wait", 3, BLOCKING, wait, doc(Group::Generic, "3.0.0", "numreplicas timeout", "Waits until replicas have received what the client wrote.")),
    row("waitaof", 4, BLOCKING, waitaof, doc(Group::Generic, "7.2.0", "numlocal numreplicas timeout", "Waits until what the client wrote is on disk, here and at replicas.")),
    Command { name: "cluster", arity: -2, flags: 0, keys: &[], run: container, subcommands: CLUSTER,
        doc: Doc { summary: "Commands about a cluster.", since: "3.0.0", group: Group::Cluster,
            complexity: "Depends on subcommand.", syntax: "" } },
];

#[rustfmt::skip]
static CLUSTER: &[Command] = &[
    sub("addslots", -3, ALTER, cluster("3.0.0", "slot [slot ...]", "Assigns slots to the node.")),
    sub("addslotsrange", -4, ALTER, cluster("7.0.0", "start-slot end-slot [start-slot end-slot ...]", "Assigns ranges of slots to the node.")),
    sub("bumpepoch", 2, ALTER, cluster("3.0.0", "", "Advances the epoch of the cluster.")),
    sub("count-failure-reports", 3, ADMIN | STALE, cluster("3.0.0", "node-id", "Counts the reports that a node has failed.")),
    sub("countkeysinslot", 3, PLAIN, cluster("3.0.0", "slot", "Counts the keys in a slot.")),
    sub("delslots", -3, ALTER, cluster("3.0.0", "slot [slot ...]", "Takes slots from the node.")),
    sub("delslotsrange", -4, ALTER, cluster("7.0.0", "start-slot end-slot [start-slot end-slot ...]", "Takes ranges of slots from the node.")),
    sub("failover", -2, ALTER, cluster("3.0.0", "[FORCE | TAKEOVER]", "Makes a replica the master.")),
    sub("flushslots", 2, ALTER, cluster("3.0.0", "", "Takes all slots from the node.")),
    sub("forget", 3, ALTER, cluster("3.0.0", "node-id", "Removes a node from the table of nodes.")),
    sub("getkeysinslot", 4, PLAIN, cluster("3.0.0", "slot count", "Returns keys in a slot.")),
    sub("help", 2, LOADING | STALE, cluster("5.0.0", "", "Explains the subcommands.")),
    sub("info", 2, PLAIN, cluster("3.0.0", "", "Describes the state of the cluster.")),
    sub("keyslot", 3, PLAIN, cluster("3.0.0", "key", "Returns the slot of a key.")),
    sub("links", 2, PLAIN, cluster("7.0.0", "", "Describes the connections between nodes.")),
    sub("meet", -4, ALTER, cluster("3.0.0", "ip port [cluster-bus-port]", "Makes another node part of the cluster.")),
    sub("myid", 2, PLAIN, cluster("3.0.0", "", "Returns the name of the node.")),
    sub("myshardid", 2, PLAIN, cluster("7.2.0", "", "Returns the name of the node's shard.")),
    sub("nodes", 2, PLAIN, cluster("3.0.0", "", "Describes the nodes.")),
    sub("replicas", 3, ADMIN | STALE, cluster("5.0.0", "node-id", "Describes the replicas of a master.")),
    sub("replicate", 3, ALTER, cluster("3.0.0", "node-id", "Makes the node a replica of a master.")),
    sub("reset", -2, ADMIN | NOSCRIPT | STALE, cluster("3.0.0", "[HARD | SOFT]", "Makes the node forget the cluster.")),
    sub("saveconfig", 2, ALTER, cluster("3.0.0", "", "Writes the table of nodes to disk.")),
    sub("set-config-epoch", 3, ALTER, cluster("3.0.0", "config-epoch", "Sets the epoch of a new node.")),
    sub("setslot", -4, ALTER, cluster("3.0.0", "slot <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>", "Says to whom a slot belongs.")),
    sub("shards", 2, LOADING | STALE, cluster("7.0.0", "", "Describes the shards with their slots.")),
    sub("slaves", 3, ADMIN | STALE, cluster("3.0.0", "node-id", "The old name of CLUSTER REPLICAS.")),
    sub("slots", 2, LOADING | STALE, cluster("3.0.0", "", "Describes which nodes have which slots.")),
];

/// Redis refuses even `CLUSTER HELP` this way.
fn no_cluster(_ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    Err(NO_CLUSTER)
}

/// A replica, or a tool that plays one, would wait in vain for the data.
fn not_followed(_ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let name = String::from_utf8_lossy(args.get(0)).to_uppercase();
    Err(Error::text(format!("ERR {name} is not supported by kvick: it has no replicas")))
}

fn role(ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    ctx.reply.array(3);
    ctx.reply.bulk(b"master");
    ctx.reply.integer(0);
    ctx.reply.array(0);
    Ok(Effect::Unchanged)
}

fn replicaof(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (host, port) = (args.get(1), args.get(2));
    if host.eq_ignore_ascii_case(b"NO") && port.eq_ignore_ascii_case(b"ONE") {
        ctx.reply.ok();
        return Ok(Effect::Unchanged);
    }
    if parse_i64(port).is_none_or(|port| !(0..=65535).contains(&port)) {
        return Err(Error::of("ERR Invalid master port"));
    }
    let name = String::from_utf8_lossy(args.get(0)).to_uppercase();
    Err(Error::text(format!("ERR {name} host port is not supported by kvick: it follows no other server")))
}

fn failover(_ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut options = Options::new(args, 1);
    let (mut timeout, mut to, mut force) = (false, false, false);
    if args.len() == 2 && options.word("ABORT") {
        return Err(Error::of("ERR No failover in progress."));
    }
    while options.more() {
        if !timeout && options.word_with_value("TIMEOUT") {
            timeout = true;
            if options.integer()? <= 0 {
                return Err(Error::of("ERR FAILOVER timeout must be greater than 0"));
            }
        } else if !to && 2 < options.left() && options.word("TO") {
            to = true;
            options.value()?;
            options.integer()?;
        } else if !force && options.word("FORCE") {
            force = true;
        } else {
            return Err(Error::SYNTAX);
        }
    }
    Err(Error::of("ERR FAILOVER requires connected replicas."))
}

fn timeout(argument: &[u8]) -> Result<u64, Error> {
    let timeout = parse_i64(argument).ok_or(Error::of("ERR timeout is not an integer or out of range"))?;
    u64::try_from(timeout).map_err(|_| Error::of("ERR timeout is negative"))
}

/// Without replicas the number can only be 0; who asks for more waits for his timeout, as in Redis.
fn wait(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let replicas = ctx.integer(args.get(1))?;
    let timeout_ms = timeout(args.get(2))?;
    if replicas <= 0 {
        ctx.reply.integer(0);
    } else {
        ctx.state.ask = Some(Ask::WaitForReplicas { timeout_ms });
    }
    Ok(Effect::Unchanged)
}

fn waitaof(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let local = u64::try_from(ctx.integer(args.get(1))?)
        .ok()
        .filter(|local| *local <= 1)
        .ok_or(Error::of("ERR value is out of range, value must between 0 and 1"))?;
    let replicas = parse_i64(args.get(2))
        .and_then(|replicas| u64::try_from(replicas).ok())
        .ok_or(Error::MUST_BE_POSITIVE)?;
    let timeout_ms = timeout(args.get(3))?;
    if local == 1 && !ctx.state.persistence.aof_enabled {
        return Err(Error::of("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."));
    }
    ctx.state.ask = Some(Ask::WaitForSync { local, replicas, timeout_ms });
    Ok(Effect::Unchanged)
}

#[cfg(test)]
mod tests {
    use crate::command::connection::tests::TestServer;
    use crate::state::ask::Ask;

    #[test]
    fn there_are_no_other_servers() {
        let no_cluster = "-ERR This instance has cluster support disabled|";
        TestServer::new("").check(&[
            ("ROLE", "*3|$6|master|:0|*0|"),
            ("ASKING", no_cluster),
            ("READONLY", no_cluster),
            ("READWRITE", no_cluster),
            ("CLUSTER INFO", no_cluster),
            ("CLUSTER HELP", no_cluster),
            ("CLUSTER KEYSLOT x", no_cluster),
            ("CLUSTER KEYSLOT", "-ERR wrong number of arguments for 'cluster|keyslot' command|"),
            ("CLUSTER foo", "-ERR unknown subcommand 'foo'. Try CLUSTER HELP.|"),
            ("REPLICAOF no one", "+OK|"),
            ("SLAVEOF NO ONE", "+OK|"),
            ("REPLICAOF a 70000", "-ERR Invalid master port|"),
            (
                "REPLICAOF a 7000",
                "-ERR REPLICAOF host port is not supported by kvick: it follows no other server|",
            ),
            ("SYNC", "-ERR SYNC is not supported by kvick: it has no replicas|"),
            ("PSYNC ? -1", "-ERR PSYNC is not supported by kvick: it has no replicas|"),
            ("REPLCONF ack 1", "-ERR REPLCONF is not supported by kvick: it has no replicas|"),
            ("FAILOVER", "-ERR FAILOVER requires connected replicas.|"),
            ("FAILOVER TO a 1 FORCE TIMEOUT 10", "-ERR FAILOVER requires connected replicas.|"),
            ("FAILOVER ABORT", "-ERR No failover in progress.|"),
            ("FAILOVER ABORT FORCE", "-ERR syntax error|"),
            ("FAILOVER TO a x", "-ERR value is not an integer or out of range|"),
            ("FAILOVER TIMEOUT 0", "-ERR FAILOVER timeout must be greater than 0|"),
        ]);
    }

    #[test]
    fn waits_are_wishes() {
        let mut server = TestServer::new("");
        server.check(&[
            ("WAIT x 0", "-ERR value is not an integer or out of range|"),
            ("WAIT 1 x", "-ERR timeout is not an integer or out of range|"),
            ("WAIT 1 -1", "-ERR timeout is negative|"),
            ("WAIT 0 0", ":0|"),
            ("WAIT -1 0", ":0|"),
            ("WAITAOF 2 0 0", "-ERR value is out of range, value must between 0 and 1|"),
            ("WAITAOF -1 0 0", "-ERR value is out of range, value must between 0 and 1|"),
            ("WAITAOF x 0 0", "-ERR value is not an integer or out of range|"),
            ("WAITAOF 0 x 0", "-ERR value is out of range, must be positive|"),
            ("WAITAOF 0 0 -1", "-ERR timeout is negative|"),
            (
                "WAITAOF 1 0 0",
                "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.|",
            ),
            ("WAIT 2 100", ""),
        ]);
        assert!(server.asked() == Some(Ask::WaitForReplicas { timeout_ms: 100 }));
        server.engine.state.persistence.aof_enabled = true;
        server.check(&[("WAITAOF 1 3 50", "")]);
        assert!(server.asked() == Some(Ask::WaitForSync { local: 1, replicas: 3, timeout_ms: 50 }));
    }
}
