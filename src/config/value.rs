//! Typed values of directives.
//!
//! A [`Value`] is read from canonical text, which [`super::kind`] has already checked, so reading fails
//! only where a row's kind and its field's type disagree; the tests of the table look for that.

use super::problem::Problem;

/// What a field of [`super::Settings`] can hold.
pub trait Value: Sized {
    /// Reads canonical text.
    fn read(text: &str) -> Option<Self>;
    /// Writes canonical text: what `CONFIG GET` prints.
    fn show(&self) -> String;
}

impl Value for bool {
    fn read(text: &str) -> Option<bool> {
        match text {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        }
    }

    fn show(&self) -> String {
        if *self { "yes" } else { "no" }.to_owned()
    }
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Value for $type {
            fn read(text: &str) -> Option<$type> {
                text.parse().ok()
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

numbers!(u16 u32 u64 i32 i64);

impl Value for String {
    fn read(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn show(&self) -> String {
        self.clone()
    }
}

/// Words joined by one space.
impl Value for Vec<String> {
    fn read(text: &str) -> Option<Vec<String>> {
        Some(text.split_whitespace().map(str::to_owned).collect())
    }

    fn show(&self) -> String {
        self.join(" ")
    }
}

/// Percentiles, at most six decimals.
impl Value for Vec<f64> {
    fn read(text: &str) -> Option<Vec<f64>> {
        text.split_whitespace().map(|word| word.parse().ok()).collect()
    }

    fn show(&self) -> String {
        self.iter().map(|number| show_decimal(*number)).collect::<Vec<_>>().join(" ")
    }
}

/// Six decimals without the zeros at the end, which is how percentiles are printed.
fn show_decimal(number: f64) -> String {
    let digits = format!("{number:.6}");
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

macro_rules! choices {
    ($($(#[$doc:meta])* $type:ident { $($(#[$of:meta])* $variant:ident = $name:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type { $($(#[$of])* $variant,)* }

        impl $type {
            /// The names, in the order in which error texts list them.
            pub const NAMES: &'static [&'static str] = &[$($name),*];
        }

        impl Value for $type {
            fn read(text: &str) -> Option<$type> {
                match text {
                    $($name => Some($type::$variant),)*
                    _ => None,
                }
            }

            fn show(&self) -> String {
                match self { $($type::$variant => $name,)* }.to_owned()
            }
        }
    )*};
}

choices! {
    /// When the log reaches the disk.
    AppendFsync {
        /// Once a second, by the helper thread.
        Everysec = "everysec",
        /// Before the replies that depend on it leave.
        Always = "always",
        /// When the kernel likes.
        No = "no",
    }

    /// What the server tells about itself.
    LogLevel {
        /// Everything.
        Debug = "debug",
        /// Much.
        Verbose = "verbose",
        /// What matters in production.
        Notice = "notice",
        /// Only what needs attention.
        Warning = "warning",
        /// Not a word.
        Nothing = "nothing",
    }

    /// Which key makes room when memory is full.
    MaxmemoryPolicy {
        /// The longest unused among keys with a deadline.
        VolatileLru = "volatile-lru",
        /// The least often used among keys with a deadline.
        VolatileLfu = "volatile-lfu",
        /// Any key with a deadline.
        VolatileRandom = "volatile-random",
        /// The key whose deadline is next.
        VolatileTtl = "volatile-ttl",
        /// The longest unused.
        AllkeysLru = "allkeys-lru",
        /// The least often used.
        AllkeysLfu = "allkeys-lfu",
        /// Any key.
        AllkeysRandom = "allkeys-random",
        /// None: writes are refused.
        Noeviction = "noeviction",
    }

    /// Which clients of the TLS port must show a certificate.
    ClientCertificates {
        /// None: they are not asked.
        No = "no",
        /// All.
        Yes = "yes",
        /// Who shows none is let in, who shows a wrong one is not.
        Optional = "optional",
    }

    /// Which channels a new user may name.
    PubsubDefault {
        /// All.
        Allchannels = "allchannels",
        /// None.
        Resetchannels = "resetchannels",
    }

    /// Who may use something dangerous.
    Access {
        /// Nobody.
        No = "no",
        /// Everybody.
        Yes = "yes",
        /// Clients of this machine.
        Local = "local",
    }
}

/// A line that describes a user. Who the users are is nothing that a setting could say: commands change them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserLine {
    /// The name and the rules.
    pub words: Vec<Vec<u8>>,
    /// Where the line stands, for whoever finds something wrong with it.
    pub at: Problem,
}

impl Value for Vec<UserLine> {
    fn read(text: &str) -> Option<Vec<UserLine>> {
        text.is_empty().then(Vec::new)
    }

    fn show(&self) -> String {
        String::new()
    }
}

impl Access {
    /// Whether a client may, given whether it is on this machine.
    pub fn allows(self, local: bool) -> bool {
        self == Access::Yes || (self == Access::Local && local)
    }
}

/// Permission bits, written in octal. Zero means: leave the file as it was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Value for Mode {
    fn read(text: &str) -> Option<Mode> {
        u32::from_str_radix(text, 8).ok().map(Mode)
    }

    fn show(&self) -> String {
        format!("{:o}", self.0)
    }
}

/// An amount of memory, or a percentage of `maxmemory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Bytes; zero means no limit.
    Bytes(u64),
    /// Percent of `maxmemory`, 0 to 100.
    Percent(u8),
}

impl Share {
    /// The bytes meant, given `maxmemory`; `None` when there is no limit.
    pub fn bytes(self, maxmemory: u64) -> Option<u64> {
        match self {
            Share::Bytes(0) | Share::Percent(0) => None,
            Share::Bytes(bytes) => Some(bytes),
            Share::Percent(_) if maxmemory == 0 => None,
            // The product is at most 100 * 2^64, hence the wider type.
            Share::Percent(percent) => u64::try_from(u128::from(maxmemory) * u128::from(percent) / 100).ok(),
        }
    }
}

impl Value for Share {
    fn read(text: &str) -> Option<Share> {
        match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().map(Share::Percent),
            None => text.parse().ok().map(Share::Bytes),
        }
    }

    fn show(&self) -> String {
        match self {
            Share::Bytes(bytes) => bytes.to_string(),
            Share::Percent(percent) => format!("{percent}%"),
        }
    }
}

/// A snapshot is due when both have been reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// Seconds since the last snapshot, at least one.
    pub seconds: u64,
    /// Changes since the last snapshot.
    pub changes: u64,
}

impl Value for Vec<SavePoint> {
    fn read(text: &str) -> Option<Vec<SavePoint>> {
        let numbers: Option<Vec<u64>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
        let pairs = numbers?;
        let (points, rest) = (pairs.chunks_exact(2), pairs.len() % 2);
        (rest == 0).then(|| points.map(|p| SavePoint { seconds: p[0], changes: p[1] }).collect())
    }

    fn show(&self) -> String {
        self.iter().map(|point| format!("{} {}", point.seconds, point.changes)).collect::<Vec<_>>().join(" ")
    }
}

/// How much unsent output a client may have. Zero means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes at which the client is closed at once.
    pub hard: u64,
    /// Bytes at which the client is closed after `soft_seconds` in a row.
    pub soft: u64,
    /// How long `soft` may be exceeded.
    pub soft_seconds: u64,
}

/// The output limits of the three classes of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// Ordinary clients.
    pub normal: OutputLimit,
    /// Replicas.
    pub replica: OutputLimit,
    /// Clients that subscribe.
    pub pubsub: OutputLimit,
}

impl OutputLimits {
    /// The limit of a class by its name in configuration, any case; `slave` is the old name of `replica`.
    pub fn class_mut(&mut self, name: &str) -> Option<&mut OutputLimit> {
        match name.to_ascii_lowercase().as_str() {
            "normal" => Some(&mut self.normal),
            "slave" | "replica" => Some(&mut self.replica),
            "pubsub" => Some(&mut self.pubsub),
            _ => None,
        }
    }
}

impl Value for OutputLimits {
    fn read(text: &str) -> Option<OutputLimits> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let zero = OutputLimit { hard: 0, soft: 0, soft_seconds: 0 };
        let mut limits = OutputLimits { normal: zero, replica: zero, pubsub: zero };
        for group in words.chunks(4) {
            let &[class, hard, soft, seconds] = group else { return None };
            let limit = OutputLimit {
                hard: hard.parse().ok()?,
                soft: soft.parse().ok()?,
                soft_seconds: seconds.parse().ok()?,
            };
            *limits.class_mut(class)? = limit;
        }
        Some(limits)
    }

    fn show(&self) -> String {
        // Redis still prints the old name of the class here, and tools compare.
        let classes = [("normal", self.normal), ("slave", self.replica), ("pubsub", self.pubsub)];
        let show = |(name, limit): (&str, OutputLimit)| {
            format!("{name} {} {} {}", limit.hard, limit.soft, limit.soft_seconds)
        };
        classes.map(show).join(" ")
    }
}

/// Which keyspace events are published: a set of the classes below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events(pub u16);

/// The letters of the classes, in the order in which they are printed.
const EVENT_LETTERS: &[(char, Events)] = &[
    ('g', Events::GENERIC),
    ('$', Events::STRING),
    ('l', Events::LIST),
    ('s', Events::SET),
    ('h', Events::HASH),
    ('z', Events::ZSET),
    ('x', Events::EXPIRED),
    ('e', Events::EVICTED),
    ('t', Events::STREAM),
    ('d', Events::MODULE),
    ('n', Events::NEW),
    ('K', Events::KEYSPACE),
    ('E', Events::KEYEVENT),
    ('m', Events::MISSED),
];

impl Events {
    /// `K`: publish on the channel of the key.
    pub const KEYSPACE: Events = Events(1 << 0);
    /// `E`: publish on the channel of the event.
    pub const KEYEVENT: Events = Events(1 << 1);
    /// `g`: `DEL`, `EXPIRE`, `RENAME` and others that fit any type.
    pub const GENERIC: Events = Events(1 << 2);
    /// `$`: strings.
    pub const STRING: Events = Events(1 << 3);
    /// `l`: lists.
    pub const LIST: Events = Events(1 << 4);
    /// `s`: sets.
    pub const SET: Events = Events(1 << 5);
    /// `h`: hashes.
    pub const HASH: Events = Events(1 << 6);
    /// `z`: sorted sets.
    pub const ZSET: Events = Events(1 << 7);
    /// `x`: a key expired.
    pub const EXPIRED: Events = Events(1 << 8);
    /// `e`: a key was evicted.
    pub const EVICTED: Events = Events(1 << 9);
    /// `t`: streams.
    pub const STREAM: Events = Events(1 << 10);
    /// `m`: somebody asked for a key that is not there. Not in `A`.
    pub const MISSED: Events = Events(1 << 11);
    /// `d`: modules.
    pub const MODULE: Events = Events(1 << 12);
    /// `n`: a new key. Not in `A`.
    pub const NEW: Events = Events(1 << 13);
    /// `A`: `g$lshzxetd`.
    pub const ALL: Events = Events(0b1_0111_1111_1100);

    /// Whether every class of `other` is in this set.
    pub fn contains(self, other: Events) -> bool {
        self.0 & other.0 == other.0
    }
}

impl Value for Events {
    fn read(text: &str) -> Option<Events> {
        let mut events = Events::default();
        for letter in text.chars() {
            let class = match EVENT_LETTERS.iter().find(|(known, _)| *known == letter) {
                Some((_, class)) => *class,
                None if letter == 'A' => Events::ALL,
                None => return None,
            };
            events.0 |= class.0;
        }
        Some(events)
    }

    fn show(&self) -> String {
        let all = self.contains(Events::ALL);
        let mut text = if all { String::from("A") } else { String::new() };
        for (letter, class) in EVENT_LETTERS {
            if self.contains(*class) && !(all && Events::ALL.contains(*class)) {
                text.push(*letter);
            }
        }
        text
    }
}

/// Renamed commands: old name, new name; the new name is empty when the command is taken away.
impl Value for Vec<(String, String)> {
    fn read(text: &str) -> Option<Vec<(String, String)>> {
        // Never shown nor set as a value: only lines of a file fill it.
        text.is_empty().then(Vec::new)
    }

    fn show(&self) -> String {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_print_as_redis_does() {
        let cases = [
            ("", ""),
            ("KEA", "AKE"),
            ("Kgx$lm", "g$lxKm"),
            ("Ednt", "tdnE"),
            ("g$lshzxetdmKE", "AKEm"),
            // Redis forgets the n beside an A when it prints; we keep it.
            ("AnK", "AnK"),
        ];
        for (given, shown) in cases {
            assert_eq!(Events::read(given).map(|events| events.show()).as_deref(), Some(shown), "{given}");
        }
        assert_eq!(Events::read("Q"), None);
    }

    #[test]
    fn shares() {
        assert_eq!(Share::Percent(5).bytes(1000), Some(50));
        assert_eq!(Share::Percent(5).bytes(0), None);
        assert_eq!(Share::Percent(100).bytes(u64::MAX), Some(u64::MAX));
        assert_eq!(Share::Bytes(0).bytes(1000), None);
        assert_eq!(Share::Bytes(7).bytes(1000), Some(7));
    }

    #[test]
    fn access() {
        let may = |access: Access| (access.allows(true), access.allows(false));
        assert_eq!(
            [Access::No, Access::Yes, Access::Local].map(may),
            [(false, false), (true, true), (true, false)]
        );
    }
}
