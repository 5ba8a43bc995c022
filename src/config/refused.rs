//! The third table: directives of which any value but a harmless one would break what the user relies on.

use super::kind::{Kind, int, small};
use super::live::{Flag, Row};
use super::value::Access;

/// A row of this table. The default is harmless; so are the values listed.
pub struct Refused {
    /// Name, kind, default.
    pub row: Row,
    /// Canonical texts that are accepted besides the default.
    pub harmless: &'static [&'static str],
    /// Why anything else is not.
    pub reason: &'static str,
}

macro_rules! refused {
    ($($name:literal $(| $alias:literal)*, $kind:expr, $default:literal $(, $flag:ident)* => $reason:literal
        $(, except $($harmless:literal)*)?;)*) => {
        /// The table.
        pub static REFUSED: &[Refused] = &[$(
            Refused {
                row: Row {
                    name: $name,
                    aliases: &[$($alias),*],
                    kind: $kind,
                    default: $default,
                    flags: &[$(Flag::$flag),*],
                },
                harmless: &[$($($harmless),*)?],
                reason: $reason,
            },
        )*];
    };
}

refused! {
    "cluster-enabled", Kind::Bool, "no", Fixed
        => "it is a single server, and clients of a cluster would not find the others";
    "replicaof" | "slaveof", Kind::Primary, "", Fixed
        => "there is no replication, and an empty server would answer instead of a copy";
    "min-replicas-to-write" | "min-slaves-to-write", small(0), "0"
        => "there is no replication, and no write would ever reach enough replicas";
    "tls-key-file-pass", Kind::Optional, "", Secret
        => "keys must not be encrypted; 'openssl pkey -in FILE -out FILE' writes one that is not, for a file that \
            only the server may read";
    "tls-auth-clients-user", Kind::Choice(&["CN", "URI", "off"]), "off"
        => "a certificate lets a client in, but does not say as which user";
    "rdma-port", int(0, 65535), "0" => "there is no RDMA";
    "socket-mark-id", int(0, u32::MAX as i64), "0", Fixed => "sockets are not marked for packet filters";
    "unixsocketgroup", Kind::Optional, "", Fixed
        => "the group of the socket is not changed; use 'unixsocketperm' and the group of the directory";
    "loadmodule", Kind::Words, "", FileOnly => "there are no modules";
    "sentinel", Kind::Words, "", FileOnly => "it is no sentinel";
    "enable-module-command", Kind::Choice(Access::NAMES), "no", Fixed => "there are no modules";
    "import-mode", Kind::Bool, "no" => "keys expire here whoever writes them";
    "locale-collate", Kind::Text, "" => "strings are ordered by their bytes", except "C" "POSIX";
}
