//! The first table: directives that do what they say. One row is one field of [`Settings`].

use std::collections::BTreeMap;

use super::kind::{Kind, count, int, memory, small};
use super::value::{
    Access, AppendFsync, ClientCertificates, Events, LogLevel, MaxmemoryPolicy, Mode, OutputLimits,
    PubsubDefault, SavePoint, Share, UserLine, Value,
};

/// What is common to the rows of all three tables.
#[derive(Debug)]
pub struct Row {
    /// The name under which it is written back.
    pub name: &'static str,
    /// Other names, which are understood and shown as well.
    pub aliases: &'static [&'static str],
    /// How its words are understood.
    pub kind: Kind,
    /// The canonical text when nobody says anything.
    pub default: &'static str,
    /// What else is to be known.
    pub flags: &'static [Flag],
}

/// What else is to be known about a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// `CONFIG SET` cannot change it.
    Fixed,
    /// `CONFIG SET` changes it only if `enable-protected-configs` allows.
    Protected,
    /// `CONFIG GET` shows it only to who asks by its exact name.
    Hidden,
    /// Its value is a secret: never to be logged.
    Secret,
    /// `CONFIG REWRITE` writes it even at its default, because Redis's default differs or depends on the
    /// place.
    Written,
    /// Only lines of a file have it; `CONFIG` does not know it.
    FileOnly,
    /// It names a file that may have changed: `CONFIG SET` acts on it even if the name is the same.
    Volatile,
}

/// A row of this table.
pub struct Live {
    /// Name, kind, default.
    pub row: Row,
    /// The field as canonical text.
    pub show: fn(&Settings) -> String,
    /// Canonical text into the field; false if the text is not canonical.
    pub put: fn(&mut Settings, &str) -> bool,
}

macro_rules! live {
    ($(
        $(#[$doc:meta])*
        $field:ident: $type:ty = $name:literal $(| $alias:literal)*,
            $kind:expr, $default:literal $(, $flag:ident)*;
    )*) => {
        /// Everything that can be configured. The defaults are Redis's, but for `appendonly`, which is on,
        /// and `aof-use-rdb-preamble`, which is off.
        #[derive(Clone, PartialEq)]
        pub struct Settings {
            $($(#[$doc])* pub $field: $type,)*
            /// Values of directives without a field that are not at their default, by their main name.
            pub(super) others: BTreeMap<&'static str, String>,
        }

        impl Default for Settings {
            fn default() -> Settings {
                Settings {
                    $($field: <$type as Value>::read($default).expect("the tests read every default"),)*
                    others: BTreeMap::new(),
                }
            }
        }

        /// The table.
        pub static LIVE: &[Live] = &[$(
            Live {
                row: Row {
                    name: $name,
                    aliases: &[$($alias),*],
                    kind: $kind,
                    default: $default,
                    flags: &[$(Flag::$flag),*],
                },
                show: |settings| settings.$field.show(),
                put: |settings, text| match Value::read(text) {
                    Some(value) => {
                        settings.$field = value;
                        true
                    }
                    None => false,
                },
            },
        )*];
    };
}

/// Words that say how a server stops.
const STOPPING: &[&str] = &["default", "save", "nosave", "now", "force"];
/// The smallest limit of a query buffer and of a bulk.
const MIB: u64 = 1024 * 1024;
/// The largest signed number: the bound of lengths.
const LONG: u64 = i64::MAX as u64;

live! {
    // Network.
    /// Addresses to listen on; one that starts with `-` may fail.
    bind: Vec<String> = "bind", Kind::Addresses, "* -::*";
    /// The TCP port; zero for none.
    port: u16 = "port", int(0, 65535), "6379";
    /// The path of the Unix socket; empty for none.
    unixsocket: String = "unixsocket", Kind::Optional, "", Fixed;
    /// The permissions of the Unix socket.
    unixsocketperm: Mode = "unixsocketperm", Kind::Mode, "0", Fixed;
    /// Connections that the kernel queues for us.
    tcp_backlog: u32 = "tcp-backlog", small(0), "511", Fixed;
    /// Seconds between probes of silent peers; zero for none.
    tcp_keepalive: u32 = "tcp-keepalive", small(0), "300";
    /// Seconds after which an idle client is closed; zero for never.
    timeout: u32 = "timeout", small(0), "0";
    /// Whether only this machine may talk to us while neither `bind` nor a password protects us.
    protected_mode: bool = "protected-mode", Kind::Bool, "yes";
    /// The password; empty for none.
    requirepass: String = "requirepass", Kind::Optional, "", Secret;
    /// The file of users; empty if the configuration describes them.
    aclfile: String = "aclfile", Kind::Text, "", Fixed;
    /// The users that the configuration describes.
    user: Vec<UserLine> = "user", Kind::Words, "", FileOnly;
    /// Which channels a new user may name.
    acl_pubsub_default: PubsubDefault = "acl-pubsub-default", Kind::Choice(PubsubDefault::NAMES), "resetchannels";
    /// How many denials are remembered.
    acllog_max_len: u64 = "acllog-max-len", count(), "128";
    /// How many clients may be connected.
    maxclients: u32 = "maxclients", int(1, u32::MAX as i64), "10000";

    // TLS.
    /// The TCP port on which TLS is spoken; zero for none.
    tls_port: u16 = "tls-port", int(0, 65535), "0";
    /// The certificate of the server, and those between it and the authority, in PEM.
    tls_cert_file: String = "tls-cert-file", Kind::Optional, "", Volatile;
    /// Its private key, in PEM.
    tls_key_file: String = "tls-key-file", Kind::Optional, "", Volatile;
    /// Certificates of authorities that vouch for clients, in PEM.
    tls_ca_cert_file: String = "tls-ca-cert-file", Kind::Optional, "", Volatile;
    /// A directory of such, under the names that `openssl rehash` gives them.
    tls_ca_cert_dir: String = "tls-ca-cert-dir", Kind::Optional, "", Volatile;
    /// Which clients must show a certificate.
    tls_auth_clients: ClientCertificates = "tls-auth-clients", Kind::Choice(ClientCertificates::NAMES), "yes";
    /// The versions spoken, as words; empty for all.
    tls_protocols: String = "tls-protocols", Kind::Optional, "";
    /// The ciphers of TLS 1.2, as a list in the language of OpenSSL; empty for all.
    tls_ciphers: String = "tls-ciphers", Kind::Optional, "";
    /// The ciphers of TLS 1.3, by name; empty for all.
    tls_ciphersuites: String = "tls-ciphersuites", Kind::Optional, "";
    /// Whether the cipher that comes first in our list is chosen rather than in the client's.
    tls_prefer_server_ciphers: bool = "tls-prefer-server-ciphers", Kind::Bool, "no";
    /// Whether clients that come back are spared half of the handshake.
    tls_session_caching: bool = "tls-session-caching", Kind::Bool, "yes";
    /// How many sessions are remembered for that; zero for any number.
    tls_session_cache_size: u32 = "tls-session-cache-size", small(0), "20480";
    /// Seconds for which each is.
    tls_session_cache_timeout: u32 = "tls-session-cache-timeout", small(0), "300";
    /// Seconds between two looks whether the files have changed; zero for never.
    tls_auto_reload_interval: u32 = "tls-auto-reload-interval", small(0), "0";
    /// How many handshakes go on in one turn: each takes as long as hundreds of requests.
    max_new_tls_connections_per_cycle: u32 = "max-new-tls-connections-per-cycle", int(1, 1000), "1";

    // The process.
    /// How many databases there are.
    databases: u32 = "databases", small(1), "16", Fixed;
    /// Whether to leave the terminal.
    daemonize: bool = "daemonize", Kind::Bool, "no", Fixed;
    /// Where the process id is written; empty for nowhere, or the usual place of a daemon.
    pidfile: String = "pidfile", Kind::Optional, "", Fixed;
    /// What to tell.
    loglevel: LogLevel = "loglevel", Kind::Choice(LogLevel::NAMES), "notice";
    /// Where to tell it; empty for standard output.
    logfile: String = "logfile", Kind::Text, "", Fixed;
    /// The working directory.
    dir: String = "dir", Kind::Text, "./", Protected, Written;
    /// Commands under other names, or under none.
    rename_command: Vec<(String, String)> = "rename-command", Kind::Words, "", FileOnly;
    /// What SIGINT does: words of `SHUTDOWN`.
    shutdown_on_sigint: String = "shutdown-on-sigint", Kind::Flags(STOPPING), "default";
    /// What SIGTERM does.
    shutdown_on_sigterm: String = "shutdown-on-sigterm", Kind::Flags(STOPPING), "default";
    /// Who may use `DEBUG`.
    enable_debug_command: Access = "enable-debug-command", Kind::Choice(Access::NAMES), "no", Fixed;
    /// Who may change protected directives.
    enable_protected_configs: Access = "enable-protected-configs", Kind::Choice(Access::NAMES), "no", Fixed;

    // Clients.
    /// The longest bulk that a client may send.
    proto_max_bulk_len: u64 = "proto-max-bulk-len", Kind::Memory { min: MIB, max: LONG }, "536870912";
    /// The most that a client may send ahead.
    client_query_buffer_limit: u64 = "client-query-buffer-limit",
        Kind::Memory { min: MIB, max: LONG }, "1073741824";
    /// The most that may wait for a client.
    client_output_buffer_limit: OutputLimits = "client-output-buffer-limit", Kind::OutputLimits,
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
    /// The most that all clients together may take before the greediest are closed.
    maxmemory_clients: Share = "maxmemory-clients", Kind::Share, "0";

    /// How many clients more are let in from this machine when there are as many as may be: to look after the server,
    /// nothing else.
    maxclients_reserved: u32 = "maxclients-reserved", int(0, 1024), "4";
    /// How many keys are remembered for clients that track; zero for any number.
    tracking_table_max_keys: u64 = "tracking-table-max-keys", count(), "1000000";

    // Memory.
    /// The most that the data may take; zero for no limit.
    maxmemory: u64 = "maxmemory", Kind::Memory { min: 0, max: u64::MAX }, "0";
    /// Who makes room.
    maxmemory_policy: MaxmemoryPolicy = "maxmemory-policy",
        Kind::Choice(MaxmemoryPolicy::NAMES), "noeviction";
    /// How many keys are compared to find one that makes room.
    maxmemory_samples: u32 = "maxmemory-samples", int(1, 64), "5";
    /// How hard eviction works in one go.
    maxmemory_eviction_tenacity: u32 = "maxmemory-eviction-tenacity", int(0, 100), "10";
    /// How slowly the counter of uses saturates.
    lfu_log_factor: u32 = "lfu-log-factor", small(0), "10";
    /// Minutes after which the counter of uses falls by one.
    lfu_decay_time: u32 = "lfu-decay-time", small(0), "1";

    // The log.
    /// Whether to keep the append-only file. The one default by which we differ: a database that forgets is
    /// a trap.
    appendonly: bool = "appendonly", Kind::Bool, "yes", Written;
    /// The stem of the names of its files.
    appendfilename: String = "appendfilename", Kind::FileName("appendfilename"), "appendonly.aof", Fixed;
    /// The directory of its files, within `dir`.
    appenddirname: String = "appenddirname", Kind::FileName("appenddirname"), "appendonlydir", Fixed;
    /// When it reaches the disk.
    appendfsync: AppendFsync = "appendfsync", Kind::Choice(AppendFsync::NAMES), "everysec";
    /// Whether to leave syncing alone while a child writes.
    no_appendfsync_on_rewrite: bool = "no-appendfsync-on-rewrite", Kind::Bool, "no";
    /// Growth since the last rewrite, in percent, at which the next begins; zero for never.
    auto_aof_rewrite_percentage: u32 = "auto-aof-rewrite-percentage", small(0), "100";
    /// Bytes below which it never begins by itself.
    auto_aof_rewrite_min_size: u64 = "auto-aof-rewrite-min-size", memory(), "67108864";
    /// Seconds for which a child that writes a base or a snapshot may make no progress; zero for as long as it likes.
    child_progress_timeout: u32 = "child-progress-timeout", small(0), "60";
    /// Whether a torn tail is cut off rather than an error.
    aof_load_truncated: bool = "aof-load-truncated", Kind::Bool, "yes";
    /// Whether the dates of writes are noted.
    aof_timestamp_enabled: bool = "aof-timestamp-enabled", Kind::Bool, "no";
    /// Whether a rewritten base is an RDB file rather than commands.
    aof_use_rdb_preamble: bool = "aof-use-rdb-preamble", Kind::Bool, "no";

    // Snapshots.
    /// When snapshots are due; empty for never.
    save: Vec<SavePoint> = "save", Kind::Save, "3600 1 300 100 60 10000", Written;
    /// The file of the snapshot.
    dbfilename: String = "dbfilename", Kind::DumpName, "dump.rdb", Protected;
    /// Whether strings in it are compressed.
    rdbcompression: bool = "rdbcompression", Kind::Bool, "yes";
    /// Whether it ends in a checksum, and whether that must fit.
    rdbchecksum: bool = "rdbchecksum", Kind::Bool, "yes", Fixed;
    /// Whether writes are refused after a snapshot that failed, if there are save points.
    stop_writes_on_bgsave_error: bool = "stop-writes-on-bgsave-error", Kind::Bool, "yes";
    /// Microseconds that a child rests after each key, for those who test what happens meanwhile; negative for none.
    rdb_key_save_delay: i32 = "rdb-key-save-delay", int(i32::MIN as i64, i32::MAX as i64), "0", Hidden;

    // Lists.
    /// The size of a node of a list: entries, or classes of bytes if negative.
    list_max_listpack_size: i32 = "list-max-listpack-size" | "list-max-ziplist-size",
        int(i32::MIN as i64, i32::MAX as i64), "-2";

    // Other types: up to which size they are packed.
    /// Fields of a hash that is one pack.
    hash_max_listpack_entries: u64 = "hash-max-listpack-entries" | "hash-max-ziplist-entries", count(), "512";
    /// Bytes of the longest field or value in it.
    hash_max_listpack_value: u64 = "hash-max-listpack-value" | "hash-max-ziplist-value", memory(), "64";
    /// Bytes of a HyperLogLog that is sparse.
    hll_sparse_max_bytes: u64 = "hll-sparse-max-bytes", memory(), "3000";
    /// Members of a set of integers only.
    set_max_intset_entries: u64 = "set-max-intset-entries", count(), "512";
    /// Members of a set that is one pack.
    set_max_listpack_entries: u64 = "set-max-listpack-entries", count(), "128";
    /// Bytes of the longest member in it.
    set_max_listpack_value: u64 = "set-max-listpack-value", count(), "64";
    /// Bytes of a node of a stream; zero for no limit.
    stream_node_max_bytes: u64 = "stream-node-max-bytes", memory(), "4096";
    /// Entries of a node of a stream; zero for no limit.
    stream_node_max_entries: u64 = "stream-node-max-entries", count(), "100";
    /// Seconds for which a stream remembers messages that producers name, unless it is told otherwise.
    stream_idmp_duration: u64 = "stream-idmp-duration", int(1, 86_400), "100";
    /// Messages of one producer that it remembers.
    stream_idmp_maxsize: u64 = "stream-idmp-maxsize", int(1, 10_000), "100";
    /// Members of a sorted set that is one pack.
    zset_max_listpack_entries: u64 = "zset-max-listpack-entries" | "zset-max-ziplist-entries", count(), "128";
    /// Bytes of the longest member in it.
    zset_max_listpack_value: u64 = "zset-max-listpack-value" | "zset-max-ziplist-value", memory(), "64";

    // Watching.
    /// Microseconds from which a command is slow; negative for never.
    slowlog_log_slower_than: i64 = "slowlog-log-slower-than" | "commandlog-execution-slower-than",
        int(-1, i64::MAX), "10000";
    /// How many slow commands are remembered.
    slowlog_max_len: u64 = "slowlog-max-len" | "commandlog-slow-execution-max-len", count(), "128";
    /// Bytes from which a request is big; negative for never.
    commandlog_request_larger_than: i64 = "commandlog-request-larger-than", int(-1, i64::MAX), "1048576";
    /// How many big requests are remembered.
    commandlog_large_request_max_len: u64 = "commandlog-large-request-max-len", count(), "128";
    /// Bytes from which a reply is big; negative for never.
    commandlog_reply_larger_than: i64 = "commandlog-reply-larger-than", int(-1, i64::MAX), "1048576";
    /// How many commands with big replies are remembered.
    commandlog_large_reply_max_len: u64 = "commandlog-large-reply-max-len", count(), "128";
    /// Milliseconds from which an event is a latency spike; zero for never.
    latency_monitor_threshold: u64 = "latency-monitor-threshold", count(), "0";
    /// Whether each command has a histogram.
    latency_tracking: bool = "latency-tracking", Kind::Bool, "yes";
    /// Which percentiles `INFO` prints.
    latency_tracking_info_percentiles: Vec<f64> = "latency-tracking-info-percentiles", Kind::Percentiles,
        "50 99 99.9";
    /// Which events of keys are published.
    notify_keyspace_events: Events = "notify-keyspace-events", Kind::Events, "";
    /// The port of the metrics and the live page; zero for none.
    metrics_port: u16 = "metrics-port", int(0, 65535), "0";
    /// Addresses they listen on; one that starts with `-` may fail.
    metrics_bind: Vec<String> = "metrics-bind", Kind::Addresses, "127.0.0.1 -::1";

    // Background work.
    /// Whether tables grow in the background too.
    activerehashing: bool = "activerehashing", Kind::Bool, "yes";
    /// How hard expiry works, 1 to 10.
    active_expire_effort: u32 = "active-expire-effort", int(1, 10), "1";
}
