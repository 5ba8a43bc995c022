//! The second table: directives without meaning here. Their values are checked, kept, shown and written
//! back, and whoever sets one is told once, with the reason.

use super::kind::{Kind, count, int, memory, small};
use super::live::{Flag, Row};

/// A row of this table.
pub struct Known {
    /// Name, kind, and the default of Redis, or of Valkey if only Valkey has it.
    pub row: Row,
    /// Why it has no meaning.
    pub reason: &'static str,
}

const REPLICATION: &str = "there is no replication";
const CLUSTER: &str = "it is a single server, not part of a cluster";
const TLS_CLIENT: &str = "it connects to no other server, and there is no replication";
const TLS_GROUPS: &str = "keys are exchanged on elliptic curves, never with these parameters";
const RDB_VERSIONS: &str = "the versions of Redis and of Valkey are read alike";
const SANITIZING: &str = "every length and element of a dump is always checked";
const THREADS: &str = "one thread serves everything";
const ALLOCATOR: &str = "the allocator has no such knob";
const AFFINITY: &str = "threads are not bound to processors; use taskset";
const SYSLOG: &str = "log lines go to 'logfile' or standard output, never to syslog";
const LOGGING: &str = "log lines have one form";
const CRASH: &str = "a crash says where it happened and leaves the rest to a core dump";
const OOM: &str = "the score of the out-of-memory killer is left as it is";
const DEBUGGING: &str = "it serves only the tests of the server that has it";
const SCRIPTS: &str = "there are no scripts yet";
const TUNING: &str = "there is nothing to tune";
const MPTCP: &str = "connections are plain TCP";
const SUPERVISOR: &str = "readiness is not announced to a supervisor; use a unit of Type=simple";

const TITLE: &str = "the title of the process is left as it was started";
const COMPATIBLE: &str = "it calls itself Redis wherever tools look for that name anyway";
const FREEING: &str = "whatever is big is freed in slices, whoever removed it";
const SYNCING: &str = "a file that a child writes is always synced as it goes";
const COMPRESSION: &str = "the nodes of lists are compact, but not compressed";
const TICK: &str = "the tick comes every 100 ms";

const SANITIZE: &[&str] = &["no", "yes", "clients"];
const FACILITIES: &[&str] =
    &["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"];

macro_rules! known {
    ($($reason:ident { $(
        $name:literal $(| $alias:literal)*, $kind:expr, $default:literal $(, $flag:ident)*;
    )* })*) => {
        /// The table.
        pub static KNOWN: &[Known] = &[$($(
            Known {
                row: Row {
                    name: $name,
                    aliases: &[$($alias),*],
                    kind: $kind,
                    default: $default,
                    flags: &[$(Flag::$flag),*],
                },
                reason: $reason,
            },
        )*)*];
    };
}

known! {
    REPLICATION {
        "masterauth" | "primaryauth", Kind::Optional, "", Secret;
        "masteruser" | "primaryuser", Kind::Optional, "";
        "bind-source-addr", Kind::Optional, "";
        "dual-channel-replication-enabled", Kind::Bool, "no";
        "min-replicas-max-lag" | "min-slaves-max-lag", small(0), "10";
        "propagation-error-behavior", Kind::Choice(&["ignore", "panic", "panic-on-replicas"]), "ignore";
        "rdb-del-sync-files", Kind::Bool, "no";
        "repl-backlog-size", Kind::Memory { min: 1, max: i64::MAX as u64 }, "1048576";
        "repl-backlog-ttl", count(), "3600";
        "repl-disable-tcp-nodelay", Kind::Bool, "no";
        "repl-diskless-load", Kind::Choice(&["disabled", "on-empty-db", "swapdb", "flush-before-load"]),
            "disabled";
        "repl-diskless-sync", Kind::Bool, "yes";
        "repl-diskless-sync-delay", small(0), "5";
        "repl-diskless-sync-max-replicas", small(0), "0";
        "repl-mptcp", Kind::Bool, "no", Fixed;
        "repl-ping-replica-period" | "repl-ping-slave-period", small(1), "10";
        "repl-rdb-channel", Kind::Bool, "no", Hidden;
        "repl-timeout", small(1), "60";
        "replica-announce-ip" | "slave-announce-ip", Kind::Optional, "";
        "replica-announce-port" | "slave-announce-port", int(0, 65535), "0";
        "replica-announced", Kind::Bool, "yes";
        "replica-full-sync-buffer-limit", memory(), "0";
        "replica-ignore-disk-write-errors", Kind::Bool, "no";
        "replica-ignore-maxmemory" | "slave-ignore-maxmemory", Kind::Bool, "yes";
        "replica-lazy-flush" | "slave-lazy-flush", Kind::Bool, "no";
        "replica-priority" | "slave-priority", small(0), "100";
        "replica-read-only" | "slave-read-only", Kind::Bool, "yes";
        "replica-serve-stale-data" | "slave-serve-stale-data", Kind::Bool, "yes";
        "shutdown-timeout", small(0), "10";
    }
    CLUSTER {
        "availability-zone", Kind::Text, "";
        "cluster-allow-pubsubshard-when-down", Kind::Bool, "yes";
        "cluster-allow-reads-when-down", Kind::Bool, "no";
        "cluster-allow-replica-migration", Kind::Bool, "yes";
        "cluster-announce-bus-port", int(0, 65535), "0";
        "cluster-announce-client-ipv4", Kind::Optional, "";
        "cluster-announce-client-ipv6", Kind::Optional, "";
        "cluster-announce-client-port", int(0, 65535), "0";
        "cluster-announce-client-tls-port", int(0, 65535), "0";
        "cluster-announce-hostname", Kind::Optional, "";
        "cluster-announce-human-nodename", Kind::Optional, "";
        "cluster-announce-ip", Kind::Optional, "";
        "cluster-announce-port", int(0, 65535), "0";
        "cluster-announce-tls-port", int(0, 65535), "0";
        "cluster-blacklist-ttl", int(0, u32::MAX as i64), "60";
        "cluster-compatibility-sample-ratio", int(0, 100), "0";
        "cluster-config-file", Kind::Text, "nodes.conf", Fixed;
        "cluster-config-save-behavior", Kind::Choice(&["sync", "best-effort"]), "sync";
        "cluster-databases", small(1), "1", Fixed;
        "cluster-link-sendbuf-limit", memory(), "0";
        "cluster-manual-failover-timeout", small(1), "5000";
        "cluster-message-gossip-perc", int(1, 100), "10", Hidden;
        "cluster-migration-barrier", small(0), "1";
        "cluster-node-timeout", count(), "15000";
        "cluster-ping-interval", count(), "0", Hidden;
        "cluster-port", int(0, 65535), "0", Fixed;
        "cluster-preferred-endpoint-type", Kind::Choice(&["ip", "hostname", "unknown-endpoint"]), "ip";
        "cluster-replica-no-failover" | "cluster-slave-no-failover", Kind::Bool, "no";
        "cluster-replica-validity-factor" | "cluster-slave-validity-factor", small(0), "10";
        "cluster-require-full-coverage", Kind::Bool, "yes";
        "cluster-slot-migration-log-max-len", count(), "1000";
        "cluster-slot-stats-enabled", Kind::Bool, "no";
        "slot-migration-max-failover-repl-bytes", Kind::Text, "0";
        "tls-cluster", Kind::Bool, "no";
    }
    TLS_CLIENT {
        "tls-client-cert-file", Kind::Optional, "";
        "tls-client-key-file", Kind::Optional, "";
        "tls-client-key-file-pass", Kind::Optional, "", Secret;
        "tls-replication", Kind::Bool, "no";
    }
    TLS_GROUPS {
        "tls-dh-params-file", Kind::Optional, "";
    }
    RDB_VERSIONS {
        "rdb-version-check", Kind::Choice(&["strict", "relaxed"]), "strict";
    }
    SANITIZING {
        "sanitize-dump-payload", Kind::Choice(SANITIZE), "no";
    }
    THREADS {
        "events-per-io-thread", Kind::Text, "2", Hidden;
        "io-threads", int(1, 256), "1", Fixed;
        "io-threads-always-active", Kind::Bool, "no", Hidden;
        "io-threads-do-reads", Kind::Bool, "no", Fixed;
        "min-io-threads-avoid-copy-reply", small(0), "7", Hidden;
    }
    ALLOCATOR {
        "active-defrag-cycle-max", int(1, 99), "25";
        "active-defrag-cycle-min", int(1, 99), "1";
        "active-defrag-cycle-us", int(0, 100_000), "500";
        "active-defrag-ignore-bytes", Kind::Memory { min: 1, max: i64::MAX as u64 }, "104857600";
        "active-defrag-max-scan-fields", int(1, i64::MAX), "1000";
        "active-defrag-threshold-lower", int(0, 1000), "10";
        "active-defrag-threshold-upper", int(0, 1000), "100";
        "activedefrag", Kind::Bool, "no";
        "disable-thp", Kind::Bool, "yes", Fixed;
        "jemalloc-bg-thread", Kind::Bool, "yes";
    }
    AFFINITY {
        "aof-rewrite-cpulist" | "aof_rewrite_cpulist", Kind::Optional, "", Fixed;
        "bgsave-cpulist" | "bgsave_cpulist", Kind::Optional, "", Fixed;
        "bio-cpulist" | "bio_cpulist", Kind::Optional, "", Fixed;
        "server-cpulist" | "server_cpulist", Kind::Optional, "", Fixed;
    }
    SYSLOG {
        "syslog-enabled", Kind::Bool, "no", Fixed;
        "syslog-facility", Kind::Choice(FACILITIES), "local0", Fixed;
        "syslog-ident", Kind::Text, "redis", Fixed;
    }
    LOGGING {
        "always-show-logo", Kind::Bool, "no", Fixed;
        "hide-user-data-from-log", Kind::Bool, "no";
        "ignore-warnings", Kind::Text, "";
        "log-format", Kind::Choice(&["legacy", "logfmt", "json"]), "legacy";
        "log-timestamp-format", Kind::Choice(&["legacy", "iso8601", "milliseconds"]), "legacy";
    }
    CRASH {
        "crash-log-enabled", Kind::Bool, "yes";
        "crash-memcheck-enabled", Kind::Bool, "yes";
        "use-exit-on-panic", Kind::Bool, "no", Hidden;
        "watchdog-period", small(0), "0", Hidden;
    }
    OOM {
        "oom-score-adj", Kind::Choice(&["no", "yes", "relative", "absolute"]), "no";
        "oom-score-adj-values", Kind::OomScores, "0 200 800";
    }
    SUPERVISOR {
        "supervised", Kind::Choice(&["upstart", "systemd", "auto", "no"]), "no", Fixed;
    }
    DEBUGGING {
        "aof-disable-auto-gc", Kind::Bool, "no", Hidden;
        "debug-context", Kind::Text, "", Hidden;
        "enable-debug-assert", Kind::Bool, "no", Hidden, Fixed;
        "key-load-delay", int(i32::MIN as i64, i32::MAX as i64), "0", Hidden;
        "loading-process-events-interval-bytes", int(1024, i32::MAX as i64), "2097152", Hidden;
    }
    SCRIPTS {
        "busy-reply-threshold" | "lua-time-limit", count(), "5000";
        "lua-enable-deprecated-api", Kind::Bool, "no", Hidden, Fixed;
        "lua-enable-insecure-api", Kind::Bool, "no", Hidden, Protected;
        "lua-replicate-commands", Kind::Text, "", FileOnly;
    }
    TITLE {
        "proc-title-template", Kind::Title, "{title} {listen-addr} {server-mode}";
        "set-proc-title", Kind::Bool, "yes", Fixed;
    }
    COMPATIBLE {
        "extended-redis-compatibility", Kind::Bool, "no";
    }
    FREEING {
        "lazyfree-lazy-eviction", Kind::Bool, "no";
        "lazyfree-lazy-expire", Kind::Bool, "no";
        "lazyfree-lazy-server-del", Kind::Bool, "no";
        "lazyfree-lazy-user-del", Kind::Bool, "no";
        "lazyfree-lazy-user-flush", Kind::Bool, "no";
    }
    SYNCING {
        "aof-rewrite-incremental-fsync", Kind::Bool, "yes";
        "rdb-save-incremental-fsync", Kind::Bool, "yes";
    }
    COMPRESSION {
        "list-compress-depth", small(0), "0";
    }
    TICK {
        "dynamic-hz", Kind::Bool, "yes";
        "hz", Kind::Hertz, "10";
    }
    TUNING {
        "hash-seed", Kind::Optional, "", Fixed, Secret;
        "list-max-ziplist-entries", Kind::Text, "", FileOnly;
        "list-max-ziplist-value", Kind::Text, "", FileOnly;
        "max-new-connections-per-cycle", int(1, 1000), "10";
        "min-string-size-avoid-copy-reply", small(0), "16384", Hidden;
        "min-string-size-avoid-copy-reply-threaded", small(0), "65536", Hidden;
        "prefetch-batch-max-size", int(0, 128), "16";
    }
    MPTCP {
        "mptcp", Kind::Bool, "no", Fixed;
        "rdma-bind", Kind::Optional, "";
        "rdma-completion-vector", int(-1, 1024), "-1", Fixed;
        "rdma-rx-size", int(65536, 16_777_216), "1048576", Fixed;
    }
}
