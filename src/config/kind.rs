//! The kinds of values that directives take: words to canonical text, or the reason why not.
//!
//! The reasons are Redis's, to the letter: tools and tests match on them.

use super::value::{Events, OutputLimits, SavePoint, Value};
use crate::base::number::parse_memory;

/// How the words after a directive's name are understood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// An integer within bounds.
    Int {
        /// The smallest allowed.
        min: i64,
        /// The largest allowed.
        max: i64,
    },
    /// A number of ticks a second: any integer from zero, silently brought into 1 to 500 as Redis does.
    Hertz,
    /// Bytes, with a unit if the user likes.
    Memory {
        /// The smallest allowed.
        min: u64,
        /// The largest allowed.
        max: u64,
    },
    /// Bytes or a percentage.
    Share,
    /// Permission bits in octal.
    Mode,
    /// One word of these, any case.
    Choice(&'static [&'static str]),
    /// Shutdown flags: some words of these, any case.
    Flags(&'static [&'static str]),
    /// Any text, the empty one among them.
    Text,
    /// Any text; the empty one means that it is not set.
    Optional,
    /// The name of a file within a directory, called by the given noun in the error text; not empty.
    FileName(&'static str),
    /// The name of the dump file, which may be empty.
    DumpName,
    /// Text with `{variables}` of the process title.
    Title,
    /// Addresses to listen on.
    Addresses,
    /// Any number of words.
    Words,
    /// Pairs of seconds and changes.
    Save,
    /// Groups of class, hard limit, soft limit, seconds.
    OutputLimits,
    /// Letters of classes of keyspace events.
    Events,
    /// Numbers between 0 and 100.
    Percentiles,
    /// Three numbers between -2000 and 2000.
    OomScores,
    /// A host and a port, or `no one`.
    Primary,
}

/// A memory kind without bounds that matter.
pub const fn memory() -> Kind {
    Kind::Memory { min: 0, max: i64::MAX as u64 }
}

/// An integer kind.
pub const fn int(min: i64, max: i64) -> Kind {
    Kind::Int { min, max }
}

/// An integer kind of a length or a count.
pub const fn count() -> Kind {
    Kind::Int { min: 0, max: i64::MAX }
}

/// An integer kind as wide as a C `int`, from `min`.
pub const fn small(min: i64) -> Kind {
    Kind::Int { min, max: i32::MAX as i64 }
}

/// As many addresses as Redis binds.
const ADDRESSES_MAX: usize = 16;

/// What a process title may mention.
const TITLE_VARIABLES: &[&str] =
    &["title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file"];

impl Kind {
    /// Whether several words may follow the name. A single word is then split at its spaces.
    pub fn is_multi(self) -> bool {
        match self {
            Kind::Flags(_) | Kind::Addresses | Kind::Words | Kind::Save => true,
            Kind::OutputLimits | Kind::Percentiles | Kind::OomScores | Kind::Primary => true,
            Kind::Bool | Kind::Int { .. } | Kind::Hertz | Kind::Memory { .. } | Kind::Share => false,
            Kind::Mode | Kind::Choice(_) | Kind::Text | Kind::Optional | Kind::FileName(_) => false,
            Kind::DumpName | Kind::Title | Kind::Events => false,
        }
    }

    /// Splits the value of `CONFIG SET` into the words that [`Kind::canonical`] takes.
    pub fn words(self, value: &str) -> Vec<&str> {
        match self.is_multi() {
            true if value.is_empty() => Vec::new(),
            true => value.split(' ').collect(),
            false => vec![value],
        }
    }

    /// Checks words and yields the canonical text, or the reason for refusing them.
    ///
    /// `current` is the canonical text so far: output limits change one class of it, save points are added
    /// to it. Whoever wants save points to replace the old ones passes an empty one.
    pub fn canonical(self, words: &[&str], current: &str) -> Result<String, String> {
        if !self.is_multi() && words.len() != 1 {
            return Err(String::from("wrong number of arguments"));
        }
        let word = words.first().copied().unwrap_or("");
        match self {
            Kind::Bool => boolean(word),
            Kind::Int { min, max } => integer(word, min, max),
            Kind::Hertz => {
                let given = integer(word, 0, i64::from(i32::MAX))?;
                Ok(given.parse().unwrap_or(500_i64).clamp(1, 500).to_string())
            }
            Kind::Memory { min, max } => bytes(word, min, max),
            Kind::Share => share(word),
            Kind::Mode => mode(word),
            Kind::Choice(names) => choice(word, names),
            Kind::Flags(names) => flags(words, names),
            Kind::Text | Kind::Optional => Ok(word.to_owned()),
            Kind::FileName(noun) => file_name(word, noun),
            Kind::DumpName if word.contains('/') => {
                Err(String::from("dbfilename can't be a path, just a filename"))
            }
            Kind::DumpName => Ok(word.to_owned()),
            Kind::Title => title(word),
            Kind::Addresses => addresses(words),
            Kind::Words => Ok(words.join(" ")),
            Kind::Save => save(words, current),
            Kind::OutputLimits => output_limits(words, current),
            Kind::Events => match Events::read(word) {
                Some(events) => Ok(events.show()),
                None => Err(String::from("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")),
            },
            Kind::Percentiles => percentiles(words),
            Kind::OomScores => oom_scores(words),
            Kind::Primary => primary(words),
        }
    }
}

fn one_of(names: &[&str]) -> String {
    format!("argument(s) must be one of the following: {}", names.join(", "))
}

fn boolean(word: &str) -> Result<String, String> {
    let known = ["yes", "no"].into_iter().find(|name| name.eq_ignore_ascii_case(word));
    known.map(str::to_owned).ok_or_else(|| String::from("argument must be 'yes' or 'no'"))
}

fn choice(word: &str, names: &[&str]) -> Result<String, String> {
    let known = names.iter().find(|name| name.eq_ignore_ascii_case(word));
    known.map(|name| (*name).to_owned()).ok_or_else(|| one_of(names))
}

/// Reads an integer that is written the one way in which it is printed: no plus sign, no leading zero, no
/// space.
fn strict_integer(word: &str) -> Option<i64> {
    word.parse::<i64>().ok().filter(|number| number.to_string() == word)
}

fn integer(word: &str, min: i64, max: i64) -> Result<String, String> {
    let Some(number) = strict_integer(word) else {
        return Err(String::from("argument couldn't be parsed into an integer"));
    };
    if number < min || max < number {
        return Err(format!("argument must be between {min} and {max} inclusive"));
    }
    Ok(number.to_string())
}

fn bytes(word: &str, min: u64, max: u64) -> Result<String, String> {
    let Some(number) = parse_memory(word) else {
        return Err(String::from("argument must be a memory value"));
    };
    if number < min || max < number {
        return Err(format!("argument must be between {min} and {max} inclusive"));
    }
    Ok(number.to_string())
}

fn share(word: &str) -> Result<String, String> {
    let Some(percent) = word.strip_suffix('%') else {
        return match parse_memory(word) {
            Some(number) => Ok(number.to_string()),
            None => Err(String::from("argument must be a memory or percent value")),
        };
    };
    match strict_integer(percent) {
        Some(number) if 100 < number => Err(String::from("percentage argument must be less or equal to 100")),
        Some(number) if 0 <= number => Ok(format!("{number}%")),
        _ => Err(String::from("argument must be a memory or percent value")),
    }
}

fn mode(word: &str) -> Result<String, String> {
    let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    match u32::from_str_radix(word, 8) {
        Ok(bits) if digits && bits <= 0o777 => Ok(format!("{bits:o}")),
        Ok(_) if digits => Err(String::from("argument must be between 0 and 777 inclusive")),
        _ => Err(String::from("argument couldn't be parsed as an octal number")),
    }
}

fn flags(words: &[&str], names: &[&str]) -> Result<String, String> {
    let mut given = vec![false; names.len()];
    for word in words {
        match names.iter().position(|name| name.eq_ignore_ascii_case(word)) {
            Some(at) => given[at] = true,
            None => return Err(one_of(names)),
        }
    }
    let has = |name: &str| names.iter().zip(&given).any(|(known, given)| *given && *known == name);
    if words.is_empty() {
        return Err(one_of(names));
    }
    if has("save") && has("nosave") {
        return Err(String::from("shutdown options SAVE and NOSAVE can't be used simultaneously"));
    }
    // The first name stands for no flag at all, so it is named only when it is alone.
    let set = names.iter().zip(&given).skip(1).filter(|(_, given)| **given);
    let text = set.map(|(name, _)| *name).collect::<Vec<_>>().join(" ");
    Ok(if text.is_empty() { names[0].to_owned() } else { text })
}

fn file_name(word: &str, noun: &str) -> Result<String, String> {
    if word.is_empty() {
        return Err(format!("{noun} can't be empty"));
    }
    if word.contains('/') {
        let what = if noun == "appenddirname" { "dirname" } else { "filename" };
        return Err(format!("{noun} can't be a path, just a {what}"));
    }
    Ok(word.to_owned())
}

fn title(word: &str) -> Result<String, String> {
    let mut rest = word;
    while let Some(open) = rest.find('{') {
        let inner = &rest[open + 1..];
        // A doubled brace is one brace of the title itself.
        if let Some(after) = inner.strip_prefix('{') {
            rest = after;
            continue;
        }
        match inner.find('}') {
            Some(close) if TITLE_VARIABLES.contains(&&inner[..close]) => rest = &inner[close + 1..],
            _ => return Err(String::from("template format is invalid or contains unknown variables")),
        }
    }
    Ok(word.to_owned())
}

/// A word in quotes may be several addresses: whatever blanks are between them, they are kept as words.
fn addresses(words: &[&str]) -> Result<String, String> {
    let named: Vec<&str> = words.iter().flat_map(|word| word.split_whitespace()).collect();
    if ADDRESSES_MAX < named.len() {
        return Err(String::from("Too many bind addresses specified."));
    }
    Ok(named.join(" "))
}

fn save(words: &[&str], current: &str) -> Result<String, String> {
    if words.is_empty() || *words == [""] {
        return Ok(String::new());
    }
    let invalid = || String::from("Invalid save parameters");
    let numbers: Option<Vec<i64>> = words.iter().map(|word| word.parse().ok()).collect();
    let numbers = numbers.ok_or_else(invalid)?;
    if numbers.len() % 2 != 0 || numbers.chunks(2).any(|pair| pair[0] < 1 || pair[1] < 0) {
        return Err(invalid());
    }
    let mut points: Vec<SavePoint> = Value::read(current).unwrap_or_default();
    for pair in numbers.chunks(2) {
        points.push(SavePoint { seconds: pair[0].unsigned_abs(), changes: pair[1].unsigned_abs() });
    }
    Ok(points.show())
}

fn output_limits(words: &[&str], current: &str) -> Result<String, String> {
    if words.is_empty() || !words.len().is_multiple_of(4) {
        return Err(String::from("Wrong number of arguments in buffer limit configuration."));
    }
    let Some(mut limits) = OutputLimits::read(current) else {
        return Err(String::from("Invalid client class specified in buffer limit configuration."));
    };
    for group in words.chunks(4) {
        let Some(limit) = limits.class_mut(group[0]) else {
            return Err(String::from("Invalid client class specified in buffer limit configuration."));
        };
        let seconds = group[3].parse::<i64>().ok().and_then(|seconds| u64::try_from(seconds).ok());
        let (Some(hard), Some(soft), Some(seconds)) =
            (parse_memory(group[1]), parse_memory(group[2]), seconds)
        else {
            return Err(String::from(
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
            ));
        };
        (limit.hard, limit.soft, limit.soft_seconds) = (hard, soft, seconds);
    }
    Ok(limits.show())
}

fn percentiles(words: &[&str]) -> Result<String, String> {
    if *words == [""] {
        return Ok(String::new());
    }
    let mut numbers = Vec::new();
    for word in words {
        match word.parse::<f64>() {
            Ok(number) if (0.0..=100.0).contains(&number) => numbers.push(number),
            Ok(number) if !number.is_nan() => {
                return Err(String::from(
                    "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
                ));
            }
            _ => return Err(String::from("Invalid latency-tracking-info-percentiles parameters")),
        }
    }
    Ok(numbers.show())
}

fn oom_scores(words: &[&str]) -> Result<String, String> {
    if words.len() != 3 {
        return Err(String::from("wrong number of arguments"));
    }
    let mut scores = Vec::new();
    for word in words {
        match strict_integer(word) {
            Some(score) if (-2000..=2000).contains(&score) => scores.push(score.to_string()),
            _ => {
                let reason = "Invalid oom-score-adj-values, elements must be between -2000 and 2000.";
                return Err(String::from(reason));
            }
        }
    }
    Ok(scores.join(" "))
}

fn primary(words: &[&str]) -> Result<String, String> {
    let &[host, port] = words else {
        return match words {
            [] | [""] => Ok(String::new()),
            _ => Err(String::from("wrong number of arguments")),
        };
    };
    if host.eq_ignore_ascii_case("no") && port.eq_ignore_ascii_case("one") {
        return Ok(String::new());
    }
    match strict_integer(port) {
        Some(1..=65535) => Ok(format!("{host} {port}")),
        _ => Err(String::from("Invalid master port")),
    }
}
